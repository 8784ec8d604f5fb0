"""Looking changes nothing and tells the truth: one job, lists, counts, queues, workers."""

from __future__ import annotations

import pytest

from duey.model.job import ENDED, STATES, Running
from tests.contracts.rig import TASK, ended, job, jobs, look, payload_of, state
from tests.support import rows


@pytest.fixture
def one_of_each(storage, clock, hand):
    """A job in each place that there is."""
    storage.pause("queue", "held")
    storage.enqueue_jobs(
        [job("blocked", queue="held"), *(job(each) for each in ("retrying", "running", "waiting", *ENDED))]
    )
    storage.enqueue_jobs([job("scheduled", eta=clock.at + 60)])
    claims = {claim.id: claim for claim in hand.claim(20)}
    hand.commit(
        *(ended(claims[each], each) for each in ENDED), ended(claims["retrying"], "retrying", eta=clock.at + 60)
    )
    storage.release_claims(hand.n, [claims["waiting"]])
    hand.begin(claims["running"])
    return storage


PLACES = {
    "scheduled": ("scheduled", "scheduled"),
    "retrying": ("scheduled", "retrying"),
    "waiting": ("ready", "queued"),
    "blocked": ("blocked", "blocked"),
    "running": ("claimed", "running"),
    **{each: ("finished", each) for each in sorted(ENDED)},
}


@rows("job_id", PLACES)
def test_a_job_stands_in_one_place_which_is_its_state(one_of_each, job_id):
    found = look(one_of_each, job_id)
    assert (found.place, found.state) == PLACES[job_id]


def test_a_claimed_job_runs_only_when_its_body_has_begun(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    assert (look(storage, "a").place, look(storage, "a").state, look(storage, "a").started_at) == (
        "claimed",
        "queued",
        None,
    )
    clock.advance(3)
    hand.begin(claim)
    found = look(storage, "a")
    assert (found.state, found.started_at, found.worker, found.stopping) == ("running", clock.at, hand.n, False)


def test_progress_is_kept_until_the_body_says_more(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    a, b = hand.claim(2)
    assert storage.progress_of(a.seq) is None
    storage.put_progress(a.seq, '{"done": 1}')
    storage.put_progress(a.seq, '{"done": 2}')
    assert (storage.progress_of(a.seq), storage.progress_of(b.seq)) == ('{"done": 2}', None)


# lists


def listed(storage, state=None, task=None, q=None, limit=100, before=None):
    return [found.id for found in storage.list_jobs(state, task, q, limit, before)]


@rows("state", STATES)
def test_a_list_can_be_held_to_each_state(one_of_each, state):
    assert set(listed(one_of_each, state)) == {job_id for job_id, place in PLACES.items() if place[1] == state}


def test_a_list_without_a_filter_holds_everything_newest_first(one_of_each):
    ids = listed(one_of_each)
    assert sorted(ids) == sorted(PLACES)
    seqs = [look(one_of_each, job_id).seq for job_id in ids]
    assert seqs == sorted(seqs, reverse=True)


@rows("state", STATES)
def test_a_list_shows_what_a_look_shows(one_of_each, state):
    for found in one_of_each.list_jobs(state, None, None, 100, None):
        alone = look(one_of_each, found.id)
        assert (found.state, found.place, found.seq, found.id, found.payload, found.result) == (
            alone.state, alone.place, alone.seq, alone.id, alone.payload, alone.result,
        )  # fmt: skip


def test_lists_are_filtered_by_task_and_text(storage, clock):
    storage.enqueue_jobs([job("a"), job("b", task="shop.re_order"), job("c", task="mail.send", eta=clock.at + 60)])
    assert listed(storage, task=TASK) == ["a"]
    assert listed(storage, q="order") == ["b", "a"]
    assert listed(storage, q="a") == ["c", "a"]  # an id, or a piece of a task's name
    assert listed(storage, state="queued", q="a") == ["a"]
    assert listed(storage, task="mail.send", state="scheduled") == ["c"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "*", "[a-z]", "?", "'"])
def test_signs_that_are_patterns_elsewhere_are_plain_text_here(storage, text):
    storage.enqueue_jobs([job("a", task="shop.order"), job("b", task=f"shop.{text}")])
    assert listed(storage, q=text) == ["b"]


@pytest.mark.parametrize("state", [None, "queued", "done"])
def test_pages_follow_each_other_without_a_gap_while_jobs_arrive(storage, hand, state):
    storage.enqueue_jobs([job(f"j{i:02}", priority=i % 3) for i in range(20)])
    if state == "done":
        hand.commit(*map(ended, hand.claim(20)))
    seen: list[str] = []
    before = None
    while rows := storage.list_jobs(state, None, None, 6, before):
        seen += [row.id for row in rows]
        before = rows[-1].seq
        storage.enqueue_jobs([job(f"new{len(seen)}")])
    assert seen == [f"j{i:02}" for i in reversed(range(20))]


def test_a_list_leaves_out_payloads_that_are_very_large(storage):
    storage.enqueue_jobs([job("big", payload=payload_of("big", args=["x" * 1_100_000]))])
    (found,) = storage.list_jobs(None, None, None, 10, None)
    assert (found.payload, len(look(storage, "big").payload) > 1_000_000) == (b"", True)


# counts


def test_counts_say_what_stands_where(one_of_each, storage):
    counts = storage.counts()
    assert (counts.scheduled, counts.retrying, counts.queued, counts.blocked, counts.running) == (1, 1, 1, 1, 1)
    assert counts.events == len(storage.read_events(1000))


def test_an_empty_storage_counts_nothing(storage):
    assert (storage.counts().queued, storage.counts().oldest_queued_at, storage.counts().events) == (0, None, 0)


def test_the_oldest_queued_job_is_known(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    born = clock.at
    clock.advance(10)
    storage.enqueue_jobs(jobs("b"))
    assert storage.counts().oldest_queued_at == born
    hand.work()
    assert storage.counts().oldest_queued_at == born + 10


def test_huey_s_own_counts_agree(storage, clock, hand):
    storage.enqueue_jobs([job("a"), job("b"), job("c", eta=clock.at + 60)])
    assert (storage.queue_size(), storage.schedule_size(), storage.result_store_size()) == (2, 1, 0)
    assert storage.enqueued_items() == [payload_of("a"), payload_of("b")]
    assert storage.enqueued_items(1) == [payload_of("a")]
    assert storage.scheduled_items() == [payload_of("c")]
    hand.work()
    assert (storage.queue_size(), storage.result_store_size(), storage.result_items()) == (1, 1, {"a": b'"ok"'})


# queues and workers


def test_queues_say_how_many_wait_and_for_how_long(storage, clock, hand):
    storage.enqueue_jobs([job("a"), job("b", queue="slow")])
    clock.advance(10)
    storage.enqueue_jobs([job("c", queue="slow"), job("d", queue="slow", eta=clock.at + 60)])
    clock.advance(5)
    found = {info.name: info for info in storage.queue_infos()}
    assert {n: (i.waiting, i.oldest_age_s, i.paused) for n, i in found.items()} == {
        "default": (1, 15.0, False),
        "slow": (2, 15.0, False),
    }


@pytest.mark.parametrize(("kind", "name"), [("queue", "default"), ("task", TASK)])
def test_jobs_that_are_blocked_still_wait_in_their_queue(storage, clock, hand, kind, name):
    storage.enqueue_jobs(jobs("ab"))
    storage.pause(kind, name)
    hand.claim(5)
    clock.advance(5)
    (info,) = storage.queue_infos()
    assert (info.name, info.waiting, info.oldest_age_s, info.paused) == ("default", 2, 5.0, kind == "queue")


def test_a_paused_queue_is_listed_while_it_is_empty(storage):
    storage.pause("queue", "night")
    (info,) = storage.queue_infos()
    assert (info.name, info.waiting, info.oldest_age_s, info.paused) == ("night", 0, None, True)


def test_workers_say_who_they_are_and_what_they_run(storage, elsewhere, clock, hire):
    storage.enqueue_jobs(jobs("ab"))
    first = hire(queues=("slow", "*"))
    a, _ = first.claim(2)
    first.begin(a)
    second = hire()
    infos = elsewhere.worker_infos()
    assert [info.id for info in infos] == [str(first.n), str(second.n)]
    info = infos[0]
    assert (info.host, info.pid, info.workers, info.worker_type) == ("host.example", 4242, 1, "thread")
    assert (info.queues, info.alive, info.quiet, info.started_at) == (("slow", "*"), True, False, clock.at)
    assert (info.running, infos[1].running) == ((Running("a", TASK, clock.at),), ())


@pytest.mark.parametrize(("what", "asked"), [("quiet", (True, False)), ("stop", (False, True))])
def test_a_worker_hears_what_it_is_asked(storage, elsewhere, hire, what, asked):
    hand, other = hire(), hire()
    assert storage.control_signals(hand.n) == (False, False)
    assert elsewhere.signal_worker(hand.n, what)
    assert (storage.control_signals(hand.n), storage.control_signals(other.n)) == (asked, (False, False))


def test_a_worker_that_is_not_there_cannot_be_asked(storage, hand):
    assert not storage.signal_worker(hand.n + 100, "quiet")


def test_looking_writes_no_event(one_of_each, storage):
    before = storage.counts().events
    for job_id in PLACES:
        state(storage, job_id)
    storage.list_jobs(None, None, None, 10, None)
    storage.queue_infos()
    assert storage.counts().events == before


def test_a_worker_says_which_code_it_runs(storage, hire):
    hand = hire()
    storage.register(hand.registration._replace(code="8e02d17"))
    assert [each.code for each in storage.worker_infos()] == ["", "8e02d17"]
