"""The prefetcher of a worker process: commits are shared, nothing is held up for long, and nothing finished is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from duey import clock, errors
from duey.execution.huey import DurableHuey
from duey.execution.registration import register
from duey.model.job import ONCE
from duey.worker.poison_suspects import PoisonSuspects
from duey.worker.prefetcher import Prefetcher
from duey.worker.process import WorkerSpec
from duey.worker.suspect_turn import SuspectTurn
from duey.worker.watchdog import WorkerProcess, past_timeout
from tests.contracts.rig import SOON_S, Hand, ended, job, jobs, kinds, look, state, with_lifecycle, worker_threads
from tests.support import wait_until
from tests.support.sqlite_huey import sqlite_huey


@pytest.fixture
def huey(tmp_path) -> Iterator[DurableHuey]:
    with sqlite_huey(tmp_path) as huey:
        yield huey


@pytest.fixture
def prefetcher(huey) -> Iterator[Prefetcher]:
    """One of which the test itself is the only worker."""
    presence = register(huey.storage, "test", 1, "thread", ("*",), ())
    prefetcher = Prefetcher(huey.lifecycle, presence, ("*",), PoisonSuspects(3, SuspectTurn()))
    yield prefetcher
    prefetcher.stop()
    presence.close()


@pytest.fixture
def turns(huey, monkeypatch):
    """Grows with each turn."""
    made = []
    settle_and_claim = huey.storage.settle_and_claim
    monkeypatch.setattr(huey.storage, "settle_and_claim", lambda *args: made.append(1) or settle_and_claim(*args))
    return made


def drained(prefetcher):
    return prefetcher.drain(time.monotonic() + SOON_S)


def places(huey, ids):
    return [look(huey.storage, each).place for each in ids]


def states(huey, ids):
    return [state(huey.storage, each) for each in ids]


def test_short_bodies_share_a_commit(huey, prefetcher, turns):
    huey.storage.enqueue_jobs([job(f"j{i}", priority=i == 39) for i in range(40)])
    prefetcher._pace.body_s = 1e-5  # as after many short bodies
    taken = []
    for _ in range(40):
        taken.append(prefetcher.next_claim())
        prefetcher.ack(ended(taken[-1]))
    assert drained(prefetcher) and huey.storage.counts().queued == 0
    assert [claim.job.id for claim in taken[:3]] == ["j39", "j0", "j1"] and len(turns) < 20


@pytest.mark.parametrize("round_trip_s", [0.0, 0.05])
def test_what_is_finished_is_committed_and_what_a_long_body_holds_up_goes_back_although_nobody_comes(
    huey, prefetcher, monkeypatch, round_trip_s
):
    monkeypatch.setattr(huey.storage, "round_trip_s", round_trip_s)
    huey.storage.enqueue_jobs(jobs("abcd"))
    prefetcher.ack(ended(prefetcher.next_claim()))
    prefetcher.next_claim()  # and stays in a long body
    wait_until(lambda: state(huey.storage, "a") == "done", SOON_S, "the flusher commits")
    wait_until(lambda: huey.storage.queue_size() == 2, SOON_S, "the flusher gives back")
    assert places(huey, "bcd") == ["claimed", "ready", "ready"]


def test_a_long_body_does_not_hold_up_the_other_threads_and_a_stop_wakes_those_that_sleep(huey):
    began, opened = threading.Event(), threading.Event()
    slow = huey.task(name="slow")(lambda: began.set() or opened.wait(SOON_S))()
    quick = huey.task(name="quick")(lambda n: n)
    with worker_threads(huey, threads=2):
        assert began.wait(SOON_S)
        assert quick.map(range(20)).get(blocking=True, timeout=SOON_S) == list(range(20))
        opened.set()
        assert slow.get(blocking=True, timeout=SOON_S)


@pytest.mark.parametrize("error", [errors.StorageBusy("locked"), errors.StorageFull("full")])
def test_what_could_not_be_committed_is_kept_until_the_storage_is_back(huey, prefetcher, monkeypatch, error):
    def away(*args):
        raise error

    huey.storage.enqueue_jobs(jobs("ab"))
    done = [ended(prefetcher.next_claim()) for _ in "ab"]
    with monkeypatch.context() as patched:
        patched.setattr(huey.storage, "settle_and_claim", away)
        prefetcher.ack(done[0])
        assert not prefetcher.drain(time.monotonic())
        prefetcher.ack(done[1])
    assert drained(prefetcher) and states(huey, "ab") == ["done", "done"]
    assert kinds(huey.storage) == ["enqueued", "enqueued", "done", "done"]


def test_one_outcome_that_cannot_be_written_costs_no_other_job_its_own(huey, prefetcher):
    huey.storage.enqueue_jobs(jobs("abc"))
    a, b, c = (prefetcher.next_claim() for _ in "abc")
    for outcome in (ended(a), ended(b, others=(("key", object()),)), ended(c)):
        prefetcher.ack(outcome)
    assert drained(prefetcher) and states(huey, "abc") == ["done", "failed", "done"]


def test_revocations_are_looked_for_while_claims_from_then_are_held(huey, prefetcher):
    huey.revoke_by_id("b")
    huey.storage.enqueue_jobs(jobs("abc"))
    prefetcher.ack(ended(prefetcher.next_claim()))
    assert drained(prefetcher) and prefetcher.revocations


# poison suspects


def test_a_job_that_one_more_death_would_fail_runs_alone(huey):
    running: set[str] = set()
    seen: list[set[str]] = []
    beside = threading.Event()

    def note(name):
        running.add(name)
        seen.append(set(running))
        if name == "suspect 1":
            assert beside.wait(SOON_S), "another job runs beside it"
        elif "suspect 1" in running:
            beside.set()
        time.sleep(0.01)
        running.remove(name)

    task = huey.task(name="note")(note)
    for deaths in (1, 2):
        suspect = task(f"suspect {deaths}")
        for _ in range(deaths):
            assert Hand(with_lifecycle(huey.storage, huey)).die_running() == [suspect.id]
        others = task.map("abcdef")
        with worker_threads(huey, threads=3):
            others.get(blocking=True, timeout=SOON_S)
            assert huey.storage.wait_ended(suspect.id, SOON_S)
        assert look(huey.storage, suspect.id).state == "done"
    assert [names for names in seen if "suspect 2" in names] == [{"suspect 2"}]


def test_no_suspect_begins_before_the_outcome_of_one_that_must_not_run_twice_is_committed(
    huey, prefetcher, monkeypatch
):
    """It may kill the worker at once, and the other would be failed although it had ended."""
    huey.storage.enqueue_jobs([job("a", flags=ONCE), job("b")])
    with huey.storage.db.write("relaxed") as con:
        con.execute("update jobs set crashes = 2")
    first = prefetcher.next_claim()
    assert first.job.id == "a"
    may_commit, in_turn, taken = threading.Event(), threading.Event(), []
    settle_and_claim = huey.storage.settle_and_claim

    def slow(*args):
        in_turn.set()
        assert may_commit.wait(SOON_S)
        return settle_and_claim(*args)

    monkeypatch.setattr(huey.storage, "settle_and_claim", slow)
    threads = [
        threading.Thread(target=lambda: prefetcher.ack(ended(first)), daemon=True),
        threading.Thread(target=lambda: taken.append(prefetcher.next_claim()), daemon=True),
    ]
    threads[0].start()
    assert in_turn.wait(SOON_S)
    threads[1].start()
    threads[1].join(0.2)
    assert taken == []
    may_commit.set()
    for thread in threads:
        thread.join(SOON_S)
    assert [claim.job.id for claim in taken] == ["b"] and state(huey.storage, "a") == "done"


# quiet, stopped, asleep


def test_a_quiet_prefetcher_takes_nothing(huey, prefetcher):
    sleeps: list[float] = []
    wait = prefetcher.presence.pipe.wait
    prefetcher.presence.pipe.wait = lambda timeout_s: sleeps.append(timeout_s) or wait(timeout_s)
    prefetcher.quiet = True
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(prefetcher.next_claim()), daemon=True)
    thread.start()
    wait_until(lambda: sleeps, SOON_S, "it sleeps")
    huey.storage.enqueue_jobs(jobs("a"))
    wait_until(lambda: len(sleeps) > 1, SOON_S, "the ring has woken it, and it sleeps again")
    prefetcher.stop()
    thread.join(SOON_S)
    assert (taken, places(huey, "a")) == ([None], ["ready"])


def test_one_that_stops_gives_back_what_has_not_begun(huey, prefetcher):
    huey.storage.enqueue_jobs(jobs("abc"))
    prefetcher.ack(ended(prefetcher.next_claim()))
    prefetcher.stop()
    assert prefetcher.next_claim() is None and drained(prefetcher)
    assert (states(huey, "abc"), places(huey, "bc")) == (["done", "queued", "queued"], ["ready", "ready"])


def test_a_turn_that_was_on_its_way_when_it_stopped_leaves_no_claim(huey, prefetcher, monkeypatch):
    huey.storage.enqueue_jobs(jobs("ab"))
    settle_and_claim = huey.storage.settle_and_claim

    def overtaken(*args):
        found = settle_and_claim(*args)
        prefetcher.stop()
        return found

    monkeypatch.setattr(huey.storage, "settle_and_claim", overtaken)
    prefetcher._pace.body_s = 1e-5  # as after many short bodies
    assert prefetcher.next_claim() is None and places(huey, "ab") == ["claimed", "claimed"]
    assert drained(prefetcher) and places(huey, "ab") == ["ready", "ready"]


def test_a_claim_whose_worker_is_nowhere_is_found(huey):
    hand = Hand(huey.storage)
    huey.storage.enqueue_jobs(jobs("a"))
    hand.claim_one()
    with huey.storage.db.write("relaxed") as con:
        con.execute("delete from workers")
    hand.go()
    for _ in range(20):  # it is looked for now and then
        huey.lifecycle.rescue(3)
    assert (places(huey, "a"), look(huey.storage, "a").job.crashes) == (["ready"], 0)


def test_it_sleeps_until_what_the_last_look_saw_falls_due(huey, prefetcher, monkeypatch):
    """A job that is enqueued between the two looks, with a delay, rings nobody."""
    settle_and_claim, due, waits = huey.storage.settle_and_claim, [None, clock.now() + 0.05], []
    monkeypatch.setattr(
        huey.storage, "settle_and_claim", lambda *args: settle_and_claim(*args)._replace(next_due=due.pop(0))
    )
    monkeypatch.setattr(prefetcher.presence.pipe, "wait", waits.append)
    prefetcher._lead()
    assert due == [] and len(waits) == 1 and waits[0] <= 0.05
    monkeypatch.undo()


def test_a_clock_that_is_set_and_a_machine_that_slept_end_no_body(huey, prefetcher, monkeypatch):
    """The supervisor kills by the steady clock, which stands still meanwhile."""
    huey.storage.enqueue_jobs([job("a", timeout_s=60.0)])
    prefetcher.begin(prefetcher.next_claim(), clock.now())
    child = WorkerProcess(WorkerSpec("w", 1, True, False, ("*",), "c", "process"), number=prefetcher.presence.n)
    right = clock.now()
    monkeypatch.setattr(clock, "_source", lambda: right + 7200)
    assert past_timeout(huey.storage, child) == []
    steady = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: steady + 62)
    assert len(past_timeout(huey.storage, child)) == 1
    monkeypatch.undo()
