"""The desk of a worker process: commits are shared, nothing is held up for long, and nothing finished is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from duey import clock, errors
from duey.execution.huey import DurableHuey
from duey.execution.registration import register
from duey.model.job import ONCE
from duey.storage.deaths import Dead
from duey.worker.prefetcher import Desk
from tests.contracts.rig import SOON_S, crew, ended, job, jobs, kinds, look, state
from tests.support import wait_until
from tests.support.hueys import sqlite_huey


@pytest.fixture
def huey(tmp_path) -> Iterator[DurableHuey]:
    with sqlite_huey(tmp_path) as huey:
        yield huey


@pytest.fixture
def desk(huey) -> Iterator[Desk]:
    """A desk at which the test itself is the only worker."""
    life = register(huey.storage, "test", 1, "thread", ("*",), ())
    desk = Desk(huey.storage, life, ("*",))
    yield desk
    desk.stop()
    life.close()


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


def test_claims_come_in_their_order(huey, desk):
    huey.storage.accept([job("a"), job("b", priority=1), job("c")])
    assert [desk.take().id for _ in range(3)] == ["b", "a", "c"]


def test_short_bodies_share_a_commit(huey, desk, monkeypatch):
    huey.storage.accept([job(f"j{i}") for i in range(40)])
    turns = []
    turn = huey.storage.turn
    monkeypatch.setattr(huey.storage, "turn", lambda *args: turns.append(1) or turn(*args))
    desk._body_s = 1e-5  # as after many short bodies
    for _ in range(40):
        desk.finish(ended(desk.take()))
    assert desk.drain(time.monotonic() + SOON_S)
    assert huey.storage.counts().queued == 0
    assert len(turns) < 20


def test_what_is_finished_is_committed_soon_although_nobody_comes_back(huey, desk):
    huey.storage.accept(jobs("ab"))
    desk.finish(ended(desk.take()))
    desk.take()  # and stays in a long body
    wait_until(lambda: state(huey.storage, "a") == "done", SOON_S, "the watchman commits")


def test_a_claim_that_a_long_body_holds_up_goes_back(huey, desk):
    huey.storage.accept(jobs("abc"))
    desk.take()
    wait_until(lambda: huey.storage.queue_size() == 2, SOON_S, "the watchman gives back")
    assert look(huey.storage, "a").place == "claims"


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
def test_what_could_not_be_committed_is_kept_until_the_storage_is_back(huey, desk, monkeypatch, error):
    huey.storage.accept(jobs("ab"))
    done = [ended(desk.take()) for _ in "ab"]

    def away(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(huey.storage, "turn", away)
        desk.finish(done[0])
        assert not desk.drain(time.monotonic())
        desk.finish(done[1])
    assert desk.drain(time.monotonic() + SOON_S)
    assert [state(huey.storage, each) for each in "ab"] == ["done", "done"]
    assert kinds(huey.storage) == ["enqueued", "enqueued", "done", "done"]


def test_one_outcome_that_cannot_be_written_costs_no_other_job_its_own(huey, desk):
    huey.storage.accept(jobs("abc"))
    a, b, c = (desk.take() for _ in "abc")
    for settlement in (ended(a), ended(b, others=[("key", object())]), ended(c)):
        desk.finish(settlement)
    assert desk.drain(time.monotonic() + SOON_S)
    assert [state(huey.storage, each) for each in "abc"] == ["done", "failed", "done"]


def test_revocations_are_looked_for_while_claims_from_then_lie_on_the_desk(huey, desk):
    huey.revoke_by_id("b")
    huey.storage.accept(jobs("abc"))
    desk.finish(ended(desk.take()))
    assert desk.drain(time.monotonic() + SOON_S)
    assert desk.revocations


def dies(huey, job_id: str) -> None:
    """A worker that dies while it runs this job."""
    life = register(huey.storage, "dies", 1, "thread", ("*",), ())
    (claim,) = huey.storage.turn(life.n, (), 1, ("*",)).claims
    life.begin(claim.token, 1.0)
    life.abandon()
    assert huey.storage.bury(Dead(life.n, "h", 1), 3) == [claim.id] == [job_id]


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


def test_no_suspect_begins_before_the_outcome_of_one_that_must_not_run_twice_is_committed(huey, desk, monkeypatch):
    """It may kill the worker at once, and the other would be failed although it had ended."""
    once, other = job("a", flags=ONCE), job("b")
    huey.storage.accept([once, other])
    with huey.storage.db.write("work") as con:
        con.execute("update jobs set deliveries = 2")
    first = desk.take()
    assert first.id == "a"
    may_commit, in_turn, taken = threading.Event(), threading.Event(), []
    turn = huey.storage.turn

    def slow(*args):
        in_turn.set()
        assert may_commit.wait(SOON_S)
        return turn(*args)

    monkeypatch.setattr(huey.storage, "turn", slow)
    threads = [
        threading.Thread(target=lambda: desk.finish(ended(first)), daemon=True),
        threading.Thread(target=lambda: taken.append(desk.take()), daemon=True),
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


def test_a_quiet_desk_takes_nothing(huey, desk):
    sleeps: list[float] = []
    wait = desk.life.bell.wait
    desk.life.bell.wait = lambda timeout_s: sleeps.append(timeout_s) or wait(timeout_s)
    desk.quiet = True
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(desk.take()), daemon=True)
    thread.start()
    wait_until(lambda: sleeps, SOON_S, "it sleeps")
    huey.storage.accept(jobs("a"))
    wait_until(lambda: len(sleeps) > 1, SOON_S, "the ring has woken it, and it sleeps again")
    desk.stop()
    thread.join(SOON_S)
    assert (taken, look(huey.storage, "a").place) == ([None], "ready")


def test_a_desk_that_stops_gives_back_what_has_not_begun(huey, desk):
    huey.storage.accept(jobs("abc"))
    desk.finish(ended(desk.take()))
    desk.stop()
    assert desk.take() is None
    assert desk.drain(time.monotonic() + SOON_S)
    assert [state(huey.storage, each) for each in "abc"] == ["done", "queued", "queued"]
    assert [look(huey.storage, each).place for each in "bc"] == ["ready", "ready"]


def test_a_turn_that_was_on_its_way_when_the_desk_stopped_leaves_no_claim(huey, desk, monkeypatch):
    huey.storage.accept(jobs("ab"))
    turn = huey.storage.turn

    def overtaken(*args):
        found = turn(*args)
        desk.stop()
        return found

    monkeypatch.setattr(huey.storage, "turn", overtaken)
    desk._body_s = 1e-5  # as after many short bodies
    assert desk.take() is None
    assert [look(huey.storage, each).place for each in "ab"] == ["claims", "claims"]
    assert desk.drain(time.monotonic() + SOON_S)
    assert [look(huey.storage, each).place for each in "ab"] == ["ready", "ready"]


def test_a_claim_whose_worker_is_nowhere_is_found(huey):
    life = register(huey.storage, "gone", 1, "thread", ("*",), ())
    huey.storage.accept(jobs("a"))
    assert huey.storage.turn(life.n, (), 1, ("*",)).claims
    with huey.storage.db.write("work") as con:
        con.execute("delete from workers")
    life.close()
    for _ in range(20):  # it is looked for now and then
        huey.storage.rescue(3)
    assert (look(huey.storage, "a").place, look(huey.storage, "a").deliveries) == ("ready", 0)


def test_a_stop_wakes_a_thread_that_sleeps(huey):
    with crew(huey, threads=2):
        began = time.monotonic()
    assert time.monotonic() - began < SOON_S


def test_it_sleeps_until_what_the_last_look_saw_falls_due(huey, desk, monkeypatch):
    """A job that is deferred between the two looks, with a delay, rings nobody."""
    turn, due, waits = huey.storage.turn, [None, clock.now() + 0.05], []
    monkeypatch.setattr(huey.storage, "turn", lambda *args: turn(*args)._replace(next_due=due.pop(0)))
    monkeypatch.setattr(desk.life.bell, "wait", waits.append)
    desk._lead()
    assert due == [] and len(waits) == 1 and waits[0] <= 0.05
    monkeypatch.undo()
