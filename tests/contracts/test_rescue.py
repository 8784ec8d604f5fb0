"""What a dead worker held comes back, and only a job that it handled is blamed for the death."""

from __future__ import annotations

import threading

import pytest
from huey.api import chord
from huey.exceptions import TaskTimeout

from duey.execution.deaths import TREE
from duey.model.job import ONCE
from duey.payload.serializer import make_serializer
from duey.storage.values import ALONE
from tests.contracts.rig import job, jobs, kinds, look, run_next, state

MOST = 3
HERE = "last on host.example as pid 4242"


def error_of(storage, job_id):
    """Type and message of the stored error of a job, which has failed."""
    found = look(storage, job_id)
    assert found.state == "failed", f"job {job_id} is {found.state}"
    metadata = make_serializer("json").deserialize(found.result).metadata
    return metadata["type"], metadata["message"]


def test_a_dead_worker_s_jobs_go_back_and_only_the_one_whose_body_ran_is_charged(storage, hire):
    storage.enqueue_jobs([job(each, retries=2) for each in "abc"])
    hand = hire()
    _, b, _ = hand.claim(3)
    hand.begin(b)
    hand.die()
    assert storage.lifecycle.reap(hand.dead(), MOST) == ["b"]
    assert storage.lifecycle.reap(hand.dead(), MOST) == [], "it is reaped once"
    again = hire()
    assert [(c.job.id, c.job.crashes, c.job.attempt, c.job.retries) for c in again.claim(5)] == [
        ("a", 0, 0, 2), ("b", 1, 0, 2), ("c", 0, 0, 2),
    ]  # fmt: skip
    assert kinds(storage)[3:] == ["rescued"]
    again.go()


def test_a_death_that_is_not_the_job_s_fault_is_not_charged(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    assert hire().die_running(charge=False) == ["a"]
    assert (hire().claim_one().job.crashes, kinds(storage)) == (0, ["enqueued", "released"])


def died(storage):
    """The deaths that are told by themselves: number of the worker, host, and how, as far as known."""
    return [
        (e.worker, e.detail["host"], e.detail["how"]) for e in storage.lifecycle.read_events(100) if e.kind == "died"
    ]


def test_a_death_that_no_event_of_a_job_tells_has_one_of_its_own(storage, hire):
    """Once, whoever finds the worker, and not if its job's event says so or the supervisor meant it."""
    idle = hire()
    idle.die()
    for _ in range(2):
        storage.lifecycle.reap(idle.dead()._replace(how="by SIGKILL"), MOST)
    found = [(idle.n, "host.example", "by SIGKILL")]
    assert died(storage) == found
    storage.enqueue_jobs([job(each, timeout_s=1.0) for each in "abc"])
    waiting = hire()
    waiting.claim()  # it waits in the prefetcher: nothing is charged to it
    waiting.die()
    storage.lifecycle.rescue(MOST, [], "another")
    found.append((waiting.n, died(storage)[-1][1], ""))
    assert died(storage) == found
    hire().die_running()
    hire().die_running(charge=False)
    hire().die_running(timed_out=True)
    meant, alone = hire(), hire(kind=ALONE)
    for each, charge in ((meant, False), (alone, True)):
        each.die()
        storage.lifecycle.reap(each.dead(charge), MOST)
    hire().go()
    assert died(storage) == found
    storage.delete_events(storage.lifecycle.read_events(100))
    assert storage.counts().events == 0


# phase of the handling -> crashes, and the state of a job that must not run twice
PHASES = {
    "in the prefetcher": (0, "queued"),
    "before the body": (1, "queued"),
    "in the body": (1, "failed"),
    "after the body": (1, "failed"),
    "handed back": (0, "queued"),
}


def test_a_death_is_charged_from_taking_a_job_to_handing_its_outcome_back(storage, clock, hire):
    for phase, (crashes, once) in PHASES.items():
        for flags in (0, ONCE):
            storage.enqueue_jobs([job(name := f"{phase}{flags}", flags=flags)])
            hand = hire()
            claim = hand.claim_one()
            if phase == "before the body":
                hand.presence.take(claim.token)
            elif phase != "in the prefetcher":
                hand.begin(claim)
            if phase == "after the body":
                hand.body_ended(claim, clock.at)
            if phase == "handed back":
                hand.presence.finish()
            hand.die()
            assert storage.lifecycle.reap(hand.dead(), MOST) == [name] * crashes, name
            assert state(storage, name) == (once if flags else "queued"), name
            if state(storage, name) == "queued":
                last = hire()
                claim = last.claim_one()
                assert claim.job.crashes == crashes
                last.settle(claim)
    assert error_of(storage, f"after the body{ONCE}")[1].endswith("; its body had ended, so its work may be done")


def test_a_death_in_company_may_be_another_s_deed(storage, hire):
    """Three of them fail no job; the next that it dies alone does, or three times as many."""
    storage.enqueue_jobs(jobs("ab"))

    def die(mine, *others):
        hand = hire()
        claims = {claim.job.id: claim for claim in hand.claim(2)}
        hand.begin(claims[mine])
        for other in others:  # in another thread of the same worker
            take = (hand.begin, claims[other]) if other in claims else (hand.presence.take, 1 << 40)
            thread = threading.Thread(target=take[0], args=take[1:])
            thread.start()
            thread.join()
        hand.die()
        storage.lifecycle.reap(hand.dead(), MOST)

    for _ in range(MOST * 3 - 1):
        die("a", "b")
    assert [(look(storage, each).job.crashes, state(storage, each)) for each in "ab"] == [(8, "queued")] * 2
    die("a")
    assert [state(storage, each) for each in "ab"] == ["failed", "queued"]
    die("b", "a job of which nothing is left")
    assert state(storage, "b") == "failed"


def test_a_job_that_kills_too_many_workers_fails_and_says_so(storage, hire):
    storage.enqueue_jobs([job("a", retries=9)])
    for n in range(MOST):
        assert state(storage, "a") == "queued", n
        hire().die_running()
    assert error_of(storage, "a") == ("WorkerDied", f"its worker died 3 times, {HERE}")
    assert kinds(storage) == ["enqueued", "rescued", "rescued", "failed"]
    storage.retry("a", None, 0)
    assert hire().claim_one().job.crashes == 0, "a retry by hand forgets them"


def test_a_job_that_must_not_run_twice_fails_whatever_ends_its_worker(storage, clock, hire):
    """how -> error, message. With retries left: these are for errors of the body's own."""
    table = {
        "death": ("WorkerDied", f"its worker died, {HERE}"),
        "stop": ("StoppedWhileItRan", "stopped while it ran"),
        "stop after the body": (
            "StoppedWhileItRan", "stopped while it ran; its body had ended, so its work may be done",
        ),
        "time-out": ("TaskTimeout", "killed: it ran past its timeout of 2 s"),
        "consumer": ("WorkerDied", f"its consumer died, {HERE}"),
    }  # fmt: skip
    for how, error in table.items():
        storage.enqueue_jobs([job(how, flags=ONCE, timeout_s=2.0, retries=3)])
        hand = hire()
        claim = hand.claim_one()
        hand.begin(claim)
        if how.endswith("after the body"):
            hand.body_ended(claim, clock.at)
        clock.advance(2.75)
        hand.die()
        if how == "consumer":
            storage.lifecycle.rescue(MOST)
        else:
            storage.lifecycle.reap(hand.dead(not how.startswith("stop"), [claim] if how == "time-out" else []), MOST)
        assert error_of(storage, how) == error
        assert (look(storage, how).job.crashes, hire().claim()) == (int(how == "death"), []), how


def test_a_time_out_of_a_job_that_must_not_run_twice_is_its_end(huey, storage):
    @huey.task(on_crash="fail", retries=3, retry_delay=60, timeout=5)
    def pay(how):
        raise TaskTimeout("too late") if how == "time-out" else OSError("no route")

    late, failing = pay("time-out"), pay("error")
    run_next(huey)
    run_next(huey)
    assert [state(storage, each.id) for each in (late, failing)] == ["failed", "retrying"]
    assert storage.lifecycle.read_events(10)[2].detail["reason"].startswith('not retried: on_crash="fail"')


def test_a_timeout_that_killed_the_worker_is_a_failed_attempt(storage, clock, hire):
    storage.enqueue_jobs([job("a", timeout_s=2.0, retries=1, retry_delay_s=5.0)])
    for attempt, expected in ((1, "retrying"), (2, "failed")):
        hand = hire()
        claim = hand.claim_one()
        hand.begin(claim)
        clock.advance(2.75)
        hand.die()
        storage.lifecycle.reap(hand.dead(timed_out=[claim]), MOST)
        found = look(storage, "a")
        assert (found.state, found.job.attempt, found.job.retries, found.job.crashes) == (expected, attempt, 0, 0)
        clock.advance(5)
    assert error_of(storage, "a")[1] == "killed: it ran past its timeout of 2 s"
    assert kinds(storage) == ["enqueued", "retrying", "failed"]
    assert [e.at - e.started_at for e in storage.lifecycle.read_events(10)[1:]] == [2.75, 2.75]


def test_the_locks_of_a_worker_that_dies_or_leaves_are_free_and_those_of_others_stay(storage, hire):
    other = hire()
    storage.holder = other.n
    assert storage.put_if_empty("other", b"1")
    storage.enqueue_jobs(jobs("ab"))
    for leaves in (False, True):
        hand = hire()
        storage.holder = hand.n
        assert storage.put_if_empty("lock", b"1") and not storage.put_if_empty("lock", b"1")
        assert [(c.job.id, c.job.crashes) for c in hand.claim(2)] == [("a", 0), ("b", 0)]
        if leaves:
            storage.unregister(hand.n)
            assert [int(info.id) for info in storage.worker_infos()] == [other.n]
        else:
            hand.die()
            storage.lifecycle.reap(hand.dead(), MOST)
        assert not storage.has_data_for_key("lock") and storage.has_data_for_key("other")
    assert [c.job.id for c in other.claim(5)] == ["a", "b"], "what it holds is given back"
    assert kinds(storage) == ["enqueued", "enqueued", "died"]


def test_a_living_worker_is_never_rescued(storage, elsewhere, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    hand.begin(claim)
    storage.beat([hand.n], 15.0)
    assert elsewhere.lifecycle.rescue(MOST) == []
    assert hand.settle(claim).lost == frozenset()


def test_the_cancel_of_a_job_is_not_lost_with_its_worker(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    hand = hire()
    hand.begin(hand.claim_one())
    storage.lifecycle.cancel("a")
    hand.die()
    storage.lifecycle.reap(hand.dead(), MOST)
    assert state(storage, "a") == "canceled"


def test_a_chord_hears_of_a_member_that_failed_with_its_worker(huey, storage, hire):
    member, together = huey.task(name="member")(lambda: None), huey.task(name="together")(lambda parts: None)
    for deaths in (1, 2):
        result = huey.enqueue(chord([member.s(priority=9)], together.s()))
        for _ in range(deaths):
            assert state(storage, result.callback.id) is None
            hire().die_running(most=deaths)
        assert state(storage, result.callback.id) == "queued", deaths


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
    storage.lifecycle.reap(hand.dead(), MOST)
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
        assert storage.lifecycle.rescue(MOST) == ["a"]
        assert look(storage, "a").job.crashes == 0
        assert kinds(storage)[1:] == ["rescued"] * count or count == MOST * TREE
    assert error_of(storage, "a")[1] == f"its consumer died 30 times, {HERE}"
    storage.retry("a", None, 0)
    assert hire().claim_one().job.tree_deaths == 0
