"""What a dead worker held comes back, and only a job that it handled is blamed for the death."""

from __future__ import annotations

import threading

import pytest
from huey.exceptions import TaskTimeout

from duey import clock
from duey.model.job import ONCE
from duey.payload.serializer import make_serializer
from duey.storage.deaths import TREE
from tests.contracts.rig import job, jobs, kinds, look, run_next, state

MOST = 3


def error_of(storage, job_id):
    """The stored error of a failed job."""
    return make_serializer("json").deserialize(look(storage, job_id).result).metadata


def die_running(storage, hand, charge=True, most=MOST):
    """The worker dies in the body of its next job; the ids of what ran."""
    hand.begin(hand.claim_one())
    hand.die()
    return storage.reap(hand.dead(charge), most)


def test_a_dead_worker_s_jobs_go_back_to_the_queue(storage, hire):
    storage.enqueue_jobs(jobs("abc"))
    hand = hire()
    hand.claim(3)
    hand.die()
    storage.reap(hand.dead(), MOST)
    assert [c.id for c in hire().claim(5)] == ["a", "b", "c"]


def test_only_the_job_whose_body_ran_is_charged(storage, hire):
    storage.enqueue_jobs(jobs("abc"))
    hand = hire()
    _, b, _ = hand.claim(3)
    hand.begin(b)
    hand.die()
    assert storage.reap(hand.dead(), MOST) == ["b"]
    assert {c.id: c.crashes for c in hire().claim(5)} == {"a": 0, "b": 1, "c": 0}
    assert kinds(storage)[3:] == ["rescued"]


def test_a_charged_death_is_no_attempt(storage, hire):
    storage.enqueue_jobs([job("a", retries=2)])
    die_running(storage, hire())
    claim = hire().claim_one()
    assert (claim.attempt, claim.retries) == (0, 2)


def test_a_death_that_is_not_the_job_s_fault_is_not_charged(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    assert die_running(storage, hire(), charge=False) == ["a"]
    assert hire().claim_one().crashes == 0
    assert kinds(storage) == ["enqueued", "released"]


def mark(hand, claim, phase):
    """The worker is so far with its job."""
    if phase == "before":
        hand.presence.take(claim.token)
    if phase in ("body", "after"):
        hand.begin(claim)
    if phase == "after":
        hand.body_ended(claim, clock.now())


# phase of the handling -> deliveries, and the state of a job that must not run twice
PHASES = {
    "in the prefetcher": (0, "queued"),
    "before": (1, "queued"),
    "body": (1, "failed"),
    "after": (1, "failed"),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_death_is_charged_from_taking_a_job_to_handing_its_outcome_back(storage, hire, phase):
    crashes, once = PHASES[phase]
    for name, flags in (("a", 0), ("b", ONCE)):
        storage.enqueue_jobs([job(name, flags=flags)])
        hand = hire()
        mark(hand, hand.claim_one(), phase)
        hand.die()
        assert storage.reap(hand.dead(), MOST) == [name] * crashes
        assert state(storage, name) == (once if flags else "queued")
        if state(storage, name) == "queued":
            last = hire()
            claim = last.claim_one()
            assert claim.crashes == crashes
            last.settle(claim)
    if phase == "after":
        assert error_of(storage, "b")["message"].endswith("; its body had ended, so its work may be done")


def test_an_outcome_that_was_handed_back_is_not_charged(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    hand = hire()
    hand.begin(hand.claim_one())
    hand.presence.finish()
    hand.die()
    assert storage.reap(hand.dead(), MOST) == []
    assert hire().claim_one().crashes == 0


def die_in_company(storage, hire, company):
    """A worker dies in the body of a; another of its threads, where there is company, is in that of b."""
    hand = hire()
    claims = {claim.id: claim for claim in hand.claim(2)}
    hand.begin(claims["a"])
    if company:
        thread = threading.Thread(target=hand.begin, args=(claims["b"],))
        thread.start()
        thread.join()
    hand.die()
    storage.reap(hand.dead(), MOST)


def test_a_death_in_company_may_be_another_s_deed(storage, hire):
    """Three of them fail no job; the next that it dies alone does, or three times as many."""
    storage.enqueue_jobs(jobs("ab"))
    for _ in range(MOST * 3 - 1):
        die_in_company(storage, hire, True)
    assert [(look(storage, each).crashes, state(storage, each)) for each in "ab"] == [(8, "queued")] * 2
    die_in_company(storage, hire, False)
    assert [state(storage, each) for each in "ab"] == ["failed", "queued"]
    hand = hire()
    hand.begin(hand.claim_one())
    thread = threading.Thread(target=hand.presence.take, args=(1 << 40,))  # a job of which nothing is left
    thread.start()
    thread.join()
    hand.die()
    storage.reap(hand.dead(), MOST)
    assert state(storage, "b") == "failed"


def test_a_job_that_kills_too_many_workers_fails_and_says_so(storage, hire):
    storage.enqueue_jobs([job("a", retries=9)])
    for _ in range(MOST - 1):
        die_running(storage, hire())
        assert state(storage, "a") == "queued"
    die_running(storage, hire())
    assert state(storage, "a") == "failed"
    assert error_of(storage, "a")["type"] == "WorkerDied"
    assert error_of(storage, "a")["message"] == "its worker died 3 times, last on host.example as pid 4242"
    assert kinds(storage) == ["enqueued", "rescued", "rescued", "failed"]


def test_a_job_that_must_not_run_twice_fails_with_its_first_worker(storage, hire):
    storage.enqueue_jobs([job("a", flags=ONCE)])
    die_running(storage, hire())
    assert state(storage, "a") == "failed"
    assert error_of(storage, "a")["message"] == "its worker died, last on host.example as pid 4242"


def test_a_job_that_must_not_run_twice_comes_back_when_its_body_had_not_begun(storage, hire):
    storage.enqueue_jobs([job("a", flags=ONCE)])
    hand = hire()
    hand.claim_one()
    hand.die()
    storage.reap(hand.dead(), MOST)
    assert hire().claim_one().crashes == 0


def test_a_job_that_must_not_run_twice_fails_whatever_ends_its_worker(storage, clock, hire):
    """how -> error, message. With retries left: these are for errors of the body's own."""
    table = {
        "death": ("WorkerDied", "its worker died, last on host.example as pid 4242"),
        "stop": ("StoppedWhileItRan", "stopped while it ran"),
        "stop after the body": (
            "StoppedWhileItRan", "stopped while it ran; its body had ended, so its work may be done",
        ),
        "time-out": ("TaskTimeout", "killed: it ran past its timeout of 2 s"),
    }  # fmt: skip
    for how, (kind, message) in table.items():
        storage.enqueue_jobs([job(how, flags=ONCE, timeout_s=2.0, retries=3)])
        hand = hire()
        claim = hand.claim_one()
        hand.begin(claim)
        if how.endswith("after the body"):
            hand.body_ended(claim, clock.at)
        clock.advance(2.75)
        hand.die()
        storage.reap(hand.dead(not how.startswith("stop"), [claim] if how == "time-out" else []), MOST)
        assert state(storage, how) == "failed", how
        assert (error_of(storage, how)["type"], error_of(storage, how)["message"]) == (kind, message)
        assert hire().claim() == [], how


def test_a_time_out_of_a_job_that_must_not_run_twice_is_its_end(huey, storage):
    @huey.task(on_crash="fail", retries=3, retry_delay=60, timeout=5)
    def pay(how):
        raise TaskTimeout("too late") if how == "time-out" else OSError("no route")

    late, failing = pay("time-out"), pay("error")
    run_next(huey)
    run_next(huey)
    assert [state(storage, each.id) for each in (late, failing)] == ["failed", "retrying"]
    assert storage.read_events(10)[2].detail["reason"].startswith('not retried: on_crash="fail"')


def test_deaths_are_forgotten_when_the_job_is_retried_by_hand(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    die_running(storage, hire(), most=1)
    storage.retry("a", None, 0)
    assert hire().claim_one().crashes == 0


def test_a_timeout_that_killed_the_worker_is_a_failed_attempt(storage, clock, hire):
    storage.enqueue_jobs([job("a", timeout_s=2.0, retries=1, retry_delay_s=5.0)])
    for hand in (hire(), hire()):
        claim = hand.claim_one()
        hand.begin(claim)
        clock.advance(2.75)
        hand.die()
        storage.reap(hand.dead(timed_out=[claim]), MOST)
        last, clock.at = state(storage, "a"), clock.at + 5
        if last == "retrying":
            assert (look(storage, "a").retries, look(storage, "a").attempt) == (0, 1)
    assert (last, look(storage, "a").crashes, look(storage, "a").attempt) == ("failed", 0, 2)
    assert error_of(storage, "a")["message"] == "killed: it ran past its timeout of 2 s"
    assert kinds(storage) == ["enqueued", "retrying", "failed"]
    assert [e.at - e.started_at for e in storage.read_events(10)[1:]] == [2.75, 2.75]


def test_the_locks_of_a_dead_worker_are_free(storage, hire):
    hand = hire()
    storage.holder = hand.n
    assert storage.put_if_empty("lock", b"1")
    assert not storage.put_if_empty("lock", b"1")
    hand.die()
    storage.reap(hand.dead(), MOST)
    storage.holder = hire().n
    assert storage.put_if_empty("lock", b"1")


def test_the_locks_of_others_stay_when_a_worker_dies(storage, hire):
    hand, other = hire(), hire()
    storage.holder = other.n
    storage.put_if_empty("lock", b"1")
    hand.die()
    storage.reap(hand.dead(), MOST)
    assert not storage.put_if_empty("lock", b"1")


def test_a_worker_that_leaves_frees_its_locks_and_is_gone(storage, hire):
    hand = hire()
    storage.holder = hand.n
    storage.put_if_empty("lock", b"1")
    storage.unregister(hand.n)
    assert not storage.has_data_for_key("lock")
    assert storage.worker_infos() == []


def test_a_worker_that_leaves_gives_back_what_it_holds(storage, hire):
    storage.enqueue_jobs(jobs("ab"))
    hand = hire()
    hand.claim(2)
    storage.unregister(hand.n)
    assert [(c.id, c.crashes) for c in hire().claim(5)] == [("a", 0), ("b", 0)]
    assert kinds(storage) == ["enqueued", "enqueued"]


def test_a_dead_worker_is_buried_once(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    hand = hire()
    assert die_running(storage, hand) == ["a"]
    assert storage.reap(hand.dead(), MOST) == []
    assert hire().claim_one().crashes == 1


def test_a_living_worker_is_never_rescued(storage, elsewhere, hire):
    storage.enqueue_jobs(jobs("a"))
    hand = hire()
    claim = hand.claim_one()
    hand.begin(claim)
    storage.beat([hand.n], 15.0)
    assert elsewhere.rescue(MOST) == []
    assert hand.settle(claim).lost == frozenset()


def test_the_cancel_of_a_job_is_not_lost_with_its_worker(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    hand = hire()
    hand.begin(hand.claim_one())
    storage.cancel("a")
    hand.die()
    storage.reap(hand.dead(), MOST)
    assert state(storage, "a") == "canceled"


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_chord_hears_of_a_member_that_failed_with_its_worker(huey, storage, hire, deaths):
    from huey.api import chord

    @huey.task()
    def member():
        pass

    @huey.task()
    def together(parts):
        pass

    result = huey.enqueue(chord([member.s()], together.s()))
    for _ in range(deaths):
        assert state(storage, result.callback.id) is None
        die_running(storage, hire(), most=deaths)
    assert state(storage, result.callback.id) == "queued"


def test_the_mark_of_a_job_that_must_not_run_twice_is_known_wherever_it_is_looked_for(storage, hire):
    """Its file on this host may be out of reach (Redis), or as a power cut left it (SQLite)."""
    storage.enqueue_jobs([job("a", flags=ONCE)])
    hand = hire()
    claim = hand.claim_one()
    hand.begin(claim)
    assert storage.hold(hand.presence, claim.token)
    storage.sync()
    hand.die()
    if storage.backend == "redis":
        (storage.folder / f"{hand.n}.life").unlink()
    storage.reap(hand.dead(), MOST)
    assert state(storage, "a") == "failed"


@pytest.mark.parametrize("flags", [0, ONCE])
def test_the_death_of_a_whole_consumer_is_charged_to_no_job(storage, hire, flags):
    """Whoever finds it was not its parent. A job that kills its consumer each time still comes to an end."""
    storage.enqueue_jobs([job("a", flags=flags)])
    for count in range(1, MOST * TREE + 1):
        assert state(storage, "a") == "queued"
        hand = hire()
        hand.presence.take(hand.claim_one().token)
        hand.die()
        assert storage.rescue(MOST) == ["a"]
        assert look(storage, "a").crashes == 0
        assert kinds(storage)[1:] == ["rescued"] * count or count == MOST * TREE
    assert state(storage, "a") == "failed"
    assert error_of(storage, "a")["message"] == "its consumer died 30 times, last on host.example as pid 4242"
    storage.retry("a", None, 0)
    assert hire().claim_one().tree_deaths == 0


def test_a_job_that_must_not_run_twice_fails_with_its_consumer(storage, hire):
    storage.enqueue_jobs([job("a", flags=ONCE)])
    hand = hire()
    hand.begin(hand.claim_one())
    hand.die()
    storage.rescue(MOST)
    assert (state(storage, "a"), look(storage, "a").crashes) == ("failed", 0)
    assert error_of(storage, "a")["message"] == "its consumer died, last on host.example as pid 4242"
