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
from duey.storage.deaths import DeadWorker
from duey.worker.prefetcher import Prefetcher
from tests.contracts.rig import SOON_S, crew, ended, job, jobs, kinds, look, state
from tests.support import wait_until
from tests.support.sqlite_huey import sqlite_huey


@pytest.fixture
def huey(tmp_path) -> Iterator[DurableHuey]:
    with sqlite_huey(tmp_path) as huey:
        yield huey


@pytest.fixture
def prefetcher(huey) -> Iterator[Prefetcher]:
    """A desk at which the test itself is the only worker."""
    presence = register(huey.storage, "test", 1, "thread", ("*",), ())
    prefetcher = Prefetcher(huey.storage, presence, ("*",))
    yield prefetcher
    prefetcher.stop()
    presence.close()


@pytest.fixture
def gate(huey):
    """A task that waits until the test lets it through."""

    @huey.task(name="gate")
    def wait(name):
        gate.began.add(name)
        assert gate.opened.wait(SOON_S)
        return name

    gate = wait
    gate.began, gate.opened = set(), threading.Event()
    yield gate
    gate.opened.set()


def test_claims_come_in_their_order(huey, prefetcher):
    huey.storage.enqueue_jobs([job("a"), job("b", priority=1), job("c")])
    assert [prefetcher.next_claim().id for _ in range(3)] == ["b", "a", "c"]


def test_short_bodies_share_a_commit(huey, prefetcher, monkeypatch):
    huey.storage.enqueue_jobs([job(f"j{i}") for i in range(40)])
    turns = []
    settle_and_claim = huey.storage.settle_and_claim
    monkeypatch.setattr(huey.storage, "settle_and_claim", lambda *args: turns.append(1) or settle_and_claim(*args))
    prefetcher._body_s = 1e-5  # as after many short bodies
    for _ in range(40):
        prefetcher.ack(ended(prefetcher.next_claim()))
    assert prefetcher.drain(time.monotonic() + SOON_S)
    assert huey.storage.counts().queued == 0
    assert len(turns) < 20


def test_what_is_finished_is_committed_soon_although_nobody_comes_back(huey, prefetcher):
    huey.storage.enqueue_jobs(jobs("ab"))
    prefetcher.ack(ended(prefetcher.next_claim()))
    prefetcher.next_claim()  # and stays in a long body
    wait_until(lambda: state(huey.storage, "a") == "done", SOON_S, "the flusher commits")


def test_a_claim_that_a_long_body_holds_up_goes_back(huey, prefetcher):
    huey.storage.enqueue_jobs(jobs("abc"))
    prefetcher.next_claim()
    wait_until(lambda: huey.storage.queue_size() == 2, SOON_S, "the flusher gives back")
    assert look(huey.storage, "a").place == "claimed"


def test_a_long_body_does_not_hold_up_the_other_threads(huey, gate):
    @huey.task()
    def quick(n):
        return n

    slow = gate("slow")
    with crew(huey, threads=2):
        wait_until(lambda: "slow" in gate.began, SOON_S, "the slow one runs")
        assert quick.map(range(20)).get(blocking=True, timeout=SOON_S) == list(range(20))
        gate.opened.set()
        assert slow.get(blocking=True, timeout=SOON_S) == "slow"


@pytest.mark.parametrize("error", [errors.StorageBusy("locked"), errors.StorageFull("full")])
def test_what_could_not_be_committed_is_kept_until_the_storage_is_back(huey, prefetcher, monkeypatch, error):
    huey.storage.enqueue_jobs(jobs("ab"))
    done = [ended(prefetcher.next_claim()) for _ in "ab"]

    def away(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(huey.storage, "settle_and_claim", away)
        prefetcher.ack(done[0])
        assert not prefetcher.drain(time.monotonic())
        prefetcher.ack(done[1])
    assert prefetcher.drain(time.monotonic() + SOON_S)
    assert [state(huey.storage, each) for each in "ab"] == ["done", "done"]
    assert kinds(huey.storage) == ["enqueued", "enqueued", "done", "done"]


def test_one_outcome_that_cannot_be_written_costs_no_other_job_its_own(huey, prefetcher):
    huey.storage.enqueue_jobs(jobs("abc"))
    a, b, c = (prefetcher.next_claim() for _ in "abc")
    for settlement in (ended(a), ended(b, others=[("key", object())]), ended(c)):
        prefetcher.ack(settlement)
    assert prefetcher.drain(time.monotonic() + SOON_S)
    assert [state(huey.storage, each) for each in "abc"] == ["done", "failed", "done"]


def test_revocations_are_looked_for_while_claims_from_then_lie_on_the_desk(huey, prefetcher):
    huey.revoke_by_id("b")
    huey.storage.enqueue_jobs(jobs("abc"))
    prefetcher.ack(ended(prefetcher.next_claim()))
    assert prefetcher.drain(time.monotonic() + SOON_S)
    assert prefetcher.revocations


def dies(huey, job_id: str) -> None:
    """A worker that dies while it runs this job."""
    presence = register(huey.storage, "dies", 1, "thread", ("*",), ())
    (claim,) = huey.storage.settle_and_claim(presence.n, (), 1, ("*",)).claims
    presence.begin(claim.token, 1.0)
    presence.abandon()
    assert huey.storage.reap(DeadWorker(presence.n, "h", 1), 3) == [claim.id] == [job_id]


@pytest.mark.parametrize(("deaths", "alone"), [(1, False), (2, True)])
def test_a_job_that_one_more_death_would_fail_runs_alone(huey, deaths, alone):
    running: set[str] = set()
    seen: list[set[str]] = []

    @huey.task()
    def note(name):
        running.add(name)
        seen.append(set(running))
        time.sleep(0.02)
        running.remove(name)

    suspect = note("suspect")
    for _ in range(deaths):
        dies(huey, suspect.id)
    others = note.map("abcdef")
    with crew(huey, threads=3):
        others.get(blocking=True, timeout=SOON_S)
        assert huey.storage.wait_ended(suspect.id, SOON_S)
    assert ([names for names in seen if "suspect" in names] == [{"suspect"}]) == alone


def test_no_suspect_begins_before_the_outcome_of_one_that_must_not_run_twice_is_committed(
    huey, prefetcher, monkeypatch
):
    """It may kill the worker at once, and the other would be failed although it had ended."""
    once, other = job("a", flags=ONCE), job("b")
    huey.storage.enqueue_jobs([once, other])
    with huey.storage.db.write("relaxed") as con:
        con.execute("update jobs set crashes = 2")
    first = prefetcher.next_claim()
    assert first.id == "a"
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
    assert [claim.id for claim in taken] == ["b"] and state(huey.storage, "a") == "done"


def test_a_quiet_desk_takes_nothing(huey, prefetcher):
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
    assert (taken, look(huey.storage, "a").place) == ([None], "ready")


def test_a_desk_that_stops_gives_back_what_has_not_begun(huey, prefetcher):
    huey.storage.enqueue_jobs(jobs("abc"))
    prefetcher.ack(ended(prefetcher.next_claim()))
    prefetcher.stop()
    assert prefetcher.next_claim() is None
    assert prefetcher.drain(time.monotonic() + SOON_S)
    assert [state(huey.storage, each) for each in "abc"] == ["done", "queued", "queued"]
    assert [look(huey.storage, each).place for each in "bc"] == ["ready", "ready"]


def test_a_turn_that_was_on_its_way_when_the_desk_stopped_leaves_no_claim(huey, prefetcher, monkeypatch):
    huey.storage.enqueue_jobs(jobs("ab"))
    settle_and_claim = huey.storage.settle_and_claim

    def overtaken(*args):
        found = settle_and_claim(*args)
        prefetcher.stop()
        return found

    monkeypatch.setattr(huey.storage, "settle_and_claim", overtaken)
    prefetcher._body_s = 1e-5  # as after many short bodies
    assert prefetcher.next_claim() is None
    assert [look(huey.storage, each).place for each in "ab"] == ["claimed", "claimed"]
    assert prefetcher.drain(time.monotonic() + SOON_S)
    assert [look(huey.storage, each).place for each in "ab"] == ["ready", "ready"]


def test_a_claim_whose_worker_is_nowhere_is_found(huey):
    presence = register(huey.storage, "gone", 1, "thread", ("*",), ())
    huey.storage.enqueue_jobs(jobs("a"))
    assert huey.storage.settle_and_claim(presence.n, (), 1, ("*",)).claims
    with huey.storage.db.write("relaxed") as con:
        con.execute("delete from workers")
    presence.close()
    for _ in range(20):  # it is looked for now and then
        huey.storage.rescue(3)
    assert (look(huey.storage, "a").place, look(huey.storage, "a").crashes) == ("ready", 0)


def test_a_stop_wakes_a_thread_that_sleeps(huey):
    with crew(huey, threads=2):
        began = time.monotonic()
    assert time.monotonic() - began < SOON_S


def test_it_sleeps_until_what_the_last_look_saw_falls_due(huey, prefetcher, monkeypatch):
    """A job that is deferred between the two looks, with a delay, rings nobody."""
    settle_and_claim, due, waits = huey.storage.settle_and_claim, [None, clock.now() + 0.05], []
    monkeypatch.setattr(
        huey.storage, "settle_and_claim", lambda *args: settle_and_claim(*args)._replace(next_due=due.pop(0))
    )
    monkeypatch.setattr(prefetcher.presence.pipe, "wait", waits.append)
    prefetcher._lead()
    assert due == [] and len(waits) == 1 and waits[0] <= 0.05
    monkeypatch.undo()
