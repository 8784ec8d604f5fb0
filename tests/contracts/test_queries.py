"""Looking changes nothing and tells the truth: one job, lists, counts, queues, workers."""

from __future__ import annotations

from functools import partial

from duey import errors
from duey.control.health import stranded
from duey.model.job import ENDED, STATES, Running
from tests.contracts.rig import TASK, ended, job, jobs, look, payload_of

PLACES = {
    "scheduled": ("scheduled", "scheduled"),
    "retrying": ("scheduled", "retrying"),
    "waiting": ("ready", "queued"),
    "blocked": ("blocked", "blocked"),
    "running": ("claimed", "running"),
    **{each: ("finished", each) for each in sorted(ENDED)},
}


def listed(storage, state=None, task=None, q=None, limit=100, before=None):
    return [found.job.id for found in storage.list_jobs(state, None if task is None else [task], q, limit, before)]


def test_a_job_stands_in_one_place_wherever_it_is_looked_at(storage, clock, hand):
    storage.pause("queue", "held")
    names = ("retrying", "running", "waiting", *ENDED)
    storage.enqueue_jobs([job("blocked", queue="held"), *map(job, names), job("scheduled", eta=clock.at + 60)])
    claims = {claim.job.id: claim for claim in hand.claim(20)}
    hand.commit(
        *(ended(claims[each], each) for each in ENDED), ended(claims["retrying"], "retrying", eta=clock.at + 60)
    )
    storage.release_claims(hand.n, [claims["waiting"]])
    clock.advance(3)
    assert (look(storage, "running").place, look(storage, "running").state) == ("claimed", "queued")
    assert look(storage, "running").started_at is None
    hand.begin(claims["running"])
    found = look(storage, "running")
    assert (found.started_at, found.worker, found.stopping) == (clock.at, hand.n, False)
    events = storage.counts().events
    for job_id, place in PLACES.items():
        assert (look(storage, job_id).place, look(storage, job_id).state) == place, job_id
    for state in STATES:
        assert {*listed(storage, state)} == {each for each, place in PLACES.items() if place[1] == state}, state
        for found in storage.list_jobs(state, None, None, 100, None):
            alone = look(storage, found.job.id)
            assert (found.state, found.place, found.job.seq, found.job.id, found.job.payload, found.result) == (
                alone.state, alone.place, alone.job.seq, alone.job.id, alone.job.payload, alone.result,
            )  # fmt: skip
    seqs = [look(storage, job_id).job.seq for job_id in listed(storage)]
    assert len(seqs) == len(PLACES) and seqs == sorted(seqs, reverse=True)
    counts = storage.counts()
    assert (counts.scheduled, counts.retrying, counts.queued, counts.blocked, counts.running) == (1, 1, 1, 1, 1)
    assert counts.events == len(storage.lifecycle.read_events(1000)) == events, "looking writes no event"


def test_progress_is_kept_until_the_body_says_more(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    a, b = hand.claim(2)
    assert storage.progress_of(a.job.seq) is None
    for n in (1, 2):
        storage.put_progress(a.job.seq, f'{{"done": {n}}}')
    assert (storage.progress_of(a.job.seq), storage.progress_of(b.job.seq)) == ('{"done": 2}', None)


def test_reads_that_are_made_together_answer_as_they_do_alone(storage, clock, hand):
    storage.enqueue_jobs([*jobs("ab"), job("c", eta=clock.at + 60)])
    hand.begin(hand.claim(1)[0])

    def fails() -> None:
        raise errors.UnknownJob("x")

    reads = [
        storage.counts,
        storage.queue_infos,
        storage.worker_infos,
        *(partial(look, storage, each) for each in "abc"),
    ]
    with storage.read_ahead(fails, *reads):
        together = [read() for read in reads]
        assert listed(storage, "queued") == ["b"]  # was not announced
    assert together == [read() for read in reads]


# lists


def test_lists_are_filtered_by_task_and_plain_text(storage, clock):
    storage.enqueue_jobs([job("a"), job("b", task="shop.re_order"), job("c", task="mail.send", eta=clock.at + 60)])
    assert listed(storage, task=TASK) == ["a"]
    assert listed(storage, q="order") == ["b", "a"]
    assert listed(storage, q="a") == ["c", "a"], "an id, or a piece of a task's name"
    assert listed(storage, state="queued", q="a") == ["a"]
    assert listed(storage, task="mail.send", state="scheduled") == ["c"]
    signs = ["%", "\\", "*", "[a-z]", "?", "'"]  # patterns elsewhere
    storage.enqueue_jobs([job(f"j{n}", task=f"shop.{sign}") for n, sign in enumerate(signs)])
    assert [listed(storage, q=sign) for sign in (*signs, "_")] == [*([f"j{n}"] for n in range(len(signs))), ["b"]]


def test_pages_follow_each_other_without_a_gap_while_jobs_arrive(storage, hand):
    for state in (None, "queued", "done"):
        storage.enqueue_jobs([job(f"j{i:02}", priority=i % 3) for i in range(20)])
        if state == "done":
            hand.commit(*map(ended, hand.claim(20)))
        seen: list[str] = []
        before = None
        while rows := storage.list_jobs(state, None, None, 6, before):
            seen += [row.job.id for row in rows]
            before = rows[-1].job.seq
            storage.enqueue_jobs([job(f"new{len(seen)}")])
        assert seen == [f"j{i:02}" for i in reversed(range(20))], state
        storage.flush_all()


def test_a_list_leaves_out_payloads_that_are_very_large(storage):
    storage.enqueue_jobs([job("big", payload=payload_of("big", args=["x" * 1_100_000]))])
    (found,) = storage.list_jobs(None, None, None, 10, None)
    assert (found.job.payload, len(look(storage, "big").job.payload) > 1_000_000) == (b"", True)


# counts, queues and workers


def test_counts_tell_the_oldest_queued_job_and_agree_with_huey_s_own(storage, clock, hand):
    counts = storage.counts()
    assert (counts.queued, counts.oldest_queued_at, counts.events) == (0, None, 0)
    storage.enqueue_jobs(jobs("a"))
    born = clock.at
    clock.advance(10)
    storage.enqueue_jobs([job("b"), job("c", eta=clock.at + 60)])
    assert storage.counts().oldest_queued_at == born
    assert (storage.queue_size(), storage.schedule_size(), storage.result_store_size()) == (2, 1, 0)
    assert storage.enqueued_items() == [payload_of("a"), payload_of("b")]
    assert storage.enqueued_items(1) == [payload_of("a")]
    assert storage.scheduled_items() == [payload_of("c")]
    hand.work()
    assert storage.counts().oldest_queued_at == born + 10
    assert (storage.queue_size(), storage.result_store_size(), storage.result_items()) == (1, 1, {"a": b'"ok"'})


def test_queues_say_how_many_wait_for_how_long_and_whether_they_are_paused(storage, clock, hand):
    def infos():
        return {i.name: (i.waiting, i.oldest_age_s, i.paused) for i in storage.queue_infos()}

    storage.pause("queue", "night")
    assert infos() == {"night": (0, None, True)}, "also while it is empty"
    storage.resume("queue", "night")
    storage.enqueue_jobs([job("a"), job("b", queue="slow")])
    clock.advance(10)
    storage.enqueue_jobs([job("c", queue="slow"), job("d", queue="slow", eta=clock.at + 60)])
    clock.advance(5)
    assert infos() == {"default": (1, 15.0, False), "slow": (2, 15.0, False)}
    for kind, name in (("queue", "slow"), ("task", TASK)):
        storage.pause(kind, name)
        hand.claim(5)
        assert infos()["slow"] == (2, 15.0, True), "what is blocked still waits in its queue"


def test_jobs_that_no_consumer_will_run_are_named_while_consumers_run(storage, clock, hire):
    def found():
        return [str(each) for each in stranded(storage, storage.worker_infos(), storage.queue_infos())]

    storage.enqueue_jobs([job("a"), job("b", queue="slow"), job("c", queue="slow"), job("d", queue="night")])
    clock.advance(11)
    assert found() == [], "no consumer runs: that is said by itself"
    hand = hire(queues=("default",))
    assert found() == [
        "no consumer serves the queue night: 1 job waits",
        "no consumer serves the queue slow: 2 jobs wait",
    ]
    storage.pause("queue", "night")
    hire(queues=("slow",))
    assert found() == [], "it is paused, and another consumer serves slow"
    hand.settle(hand.claim_one(), "blocked", reason="unknown", started_at=None, result=None)
    assert found() == [], "its consumer may be about to start"
    clock.advance(11)
    assert found() == [f"no consumer knows the task {TASK}: 1 job waits"]


def test_workers_say_who_they_are_what_they_run_and_hear_what_they_are_asked(storage, elsewhere, clock, hire):
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
    assert storage.control_signals(first.n) == (False, False)
    for hand, what, asked in ((first, "quiet", (True, False)), (second, "stop", (False, True))):
        assert elsewhere.signal_worker(hand.n, what)
        assert storage.control_signals(hand.n) == asked, what
    assert storage.control_signals(first.n) == (True, False)
    assert not storage.signal_worker(second.n + 100, "quiet"), "it is not there"
    storage.register(first.registration._replace(code="8e02d17"))
    assert [each.code for each in storage.worker_infos()] == ["", "", "8e02d17"]
