"""The recorder: drains the queue into the history, and waits in words when it cannot."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from duey.errors import StorageBusy
from duey.model.event import Event
from duey.model.job import Running, WorkerInfo
from duey.monitor.history import History, JobFilter
from duey.monitor.history.database import Database, database
from duey.monitor.history.recording import recorder, writing
from duey.monitor.history.recording.recorder import BACK_OFF_S, IDLE_S, LATE_S, LEASE_S, Recorder
from tests.monitor.history.conftest import PATIENCE_S, START, Clock, Queue, Story, only_sqlite, record
from tests.support import wait_until

BATCH = 100


@contextmanager
def running(recorder: Recorder) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=recorder.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def ids(history: History) -> list[str]:
    return [row.job.id for row in history.job_rows(JobFilter(), 500).rows]


def test_it_drains_what_comes_until_it_is_stopped(history: History, story: Story) -> None:
    queue = Queue()
    with running(history.recorder(queue)):
        for n in range(5):
            story.plain_job(f"job{n}", n)
            queue.waiting = queue.waiting + story.events[-2:]
            wait_until(lambda: not queue.waiting, PATIENCE_S, "the queue is drained")
    assert ids(history) == ["job4", "job3", "job2", "job1", "job0"]
    assert queue.deleted == story.events


def test_a_burst_is_recorded_with_pauses_and_what_is_late_without(
    history: History, clock: Clock, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BATCH", BATCH)
    for n in range(BATCH):
        story.plain_job(f"job{n}", n / 100)
    queue = Queue(story.events)
    made = history.recorder(queue)
    first = made.turn()
    clock.now += LATE_S + BATCH / 100
    assert first > 0
    assert [made.turn() for _ in range(2)] == [0.0, IDLE_S]
    assert made.status.recorded == 2 * BATCH
    assert history.kept().jobs == BATCH


def test_the_books_are_committed_before_the_queue_forgets(history: History, url: str, story: Story) -> None:
    story.plain_job("a")

    class Watching(Queue):
        def delete_events(self, events: Sequence[Event], term: int = 0) -> None:
            with database(url).reading() as other:
                self.found = list(other.execute_sql("SELECT id, state FROM jobs").fetchall())
            super().delete_events(events, term)

    queue = Watching(story.events)
    history.recorder(queue).turn()
    assert queue.found == [("a", "done")]


def test_jobs_stand_in_the_order_of_their_acceptance(history: History, story: Story) -> None:
    for n in range(20):
        story.enqueue(f"job{n}", n)
    for n in reversed(range(20)):
        story.done(f"job{n}", 30, 31 + n)
    history.recorder(Queue(story.events)).turn()
    assert ids(history) == [f"job{n}" for n in reversed(range(20))]


def test_an_event_that_no_database_takes_does_not_hold_up_the_others(
    history: History, story: Story, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(9):
        story.plain_job(f"job{n}", n)
    real = writing.record

    def record(database, events, *rest):
        if any(event.job_id == "job5" and event.kind == "done" for event in events):
            raise OverflowError("too large for SQLite")
        return real(database, events, *rest)

    monkeypatch.setattr(writing, "record", record)
    queue = Queue(story.events)
    made = history.recorder(queue)
    made.turn()
    assert (queue.waiting, made.status.refused, made.status.problem) == ([], 1, None)
    assert [history.job(f"job{n}").state for n in range(9)] == ["done"] * 5 + ["queued"] + ["done"] * 3
    assert "job5" in caplog.text
    assert "1 events could not be recorded" in history.health().warnings[0]


# trouble


@only_sqlite
def test_locked_books_are_said_once_and_waited_for(
    path: Path, history: History, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, recorder.__name__)
    history.prepare()
    history._database._busy_timeout_s = 0.01
    history.close()
    history._database._forget()
    story.plain_job("a")
    queue = Queue(story.events)
    made = history.recorder(queue)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pauses = [made.turn() for _ in range(7)]
        assert pauses == [*BACK_OFF_S, BACK_OFF_S[-1], BACK_OFF_S[-1]]
        assert len(caplog.records) == 1
        assert "were locked for 0.01 s" in caplog.text
        assert history.health().problems == (made.status.problem,)
        assert history.job_rows(JobFilter()).rows == ()  # who reads is not held up
        other.execute("ROLLBACK")
    assert made.turn() == IDLE_S
    assert [record.message for record in caplog.records][1:] == ["the history is being recorded again"]
    assert (queue.waiting, made.status.problem, history.health().ok) == ([], None, True)


def test_a_queue_that_cannot_be_read_is_waited_for(history: History, story: Story) -> None:
    class Busy(Queue):
        busy = True

        def read_events(self, limit: int, term: int | None = None) -> list[Event]:
            if self.busy:
                raise StorageBusy("the queue is locked")
            return super().read_events(limit, term)

    story.plain_job("a")
    queue = Busy(story.events)
    made = history.recorder(queue)
    assert made.turn() == BACK_OFF_S[0]
    assert made.status.problem == "the queue is locked"
    queue.busy = False
    assert (made.turn(), made.status.problem, ids(history)) == (IDLE_S, None, ["a"])


def test_run_survives_what_nobody_expected(history: History, story: Story, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Queue):
        failures = 2

        def read_events(self, limit: int, term: int | None = None) -> list[Event]:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("a bug")
            return super().read_events(limit, term)

    story.plain_job("a")
    queue = Broken(story.events)
    with running(history.recorder(queue)):
        wait_until(lambda: not queue.waiting, PATIENCE_S, "the queue is drained")
    assert ids(history) == ["a"]
    assert "RuntimeError: a bug" in caplog.text
    assert "Traceback" in caplog.text


@only_sqlite
def test_it_stops_at_once_while_it_backs_off(history: History, path: Path) -> None:
    path.mkdir(parents=True)  # a folder where the file should be
    made = history.recorder(Queue())
    with running(made):
        wait_until(lambda: made.status.problem, PATIENCE_S, "it says so")
    assert made.status.leading is False


# the lease


def test_only_one_of_two_recorders_leads(history: History, story: Story) -> None:
    story.plain_job("a")
    first, second = history.recorder(Queue()), history.recorder(Queue(story.events))
    first.turn()
    assert second.turn() == LEASE_S
    assert (first.status.leading, second.status.leading) == (True, False)
    assert ids(history) == []
    first.close()
    second.turn()
    assert (first.status.leading, second.status.leading, ids(history)) == (False, True, ["a"])


def test_two_that_both_believe_to_lead_harm_nothing(history: History, url: str, story: Story) -> None:
    for n in range(50):
        story.plain_job(f"job{n}", n)
    other_books = database(url)
    both = threading.Barrier(2)

    def record(database: Database) -> None:
        both.wait(PATIENCE_S)
        for i in range(0, 100, 10):
            writing.record(database, story.events[i : i + 10], 1000, Clock())
        database.close()

    threads = [threading.Thread(target=record, args=(database,)) for database in (other_books, history._database)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert history.totals(3600).done == 50
    assert history.kept().jobs == 50


@only_sqlite
def test_a_lease_whose_file_was_taken_away_is_taken_again(history: History, path: Path) -> None:
    first, second = history.recorder(Queue()), history.recorder(Queue())
    first.turn()
    path.with_name("monitor.db.recorder").unlink()
    second.turn()
    first.turn()
    assert (first.status.leading, second.status.leading) == (False, True)


# who works


def worker(id: str, alive: bool = True, at: float = START) -> WorkerInfo:
    runs = (Running("a", "tasks.add", START),)
    return WorkerInfo(id, "box", 42, START, at, 4, "thread", ("default",), alive, False, runs)


def test_each_new_code_is_a_deploy(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "ASKING_S", 0.0)
    now: list[WorkerInfo] = []
    made = history.recorder(Queue(), workers=lambda: now)
    for n, code in enumerate(["one", "one", "", "two", "one", "three"]):
        now[:] = [replace(worker("1"), code=code, started_at=START + n)]
        made.turn()
    assert history.deploys(0) == ((START + 3, "two"), (START + 5, "three")), "the first is where it began"
    assert history.deploys(START + 4) == ((START + 5, "three"),)


def test_workers_are_remembered_for_a_day_with_what_they_did(
    history: History, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "ASKING_S", 0.0)
    now = [worker("1"), worker("2")]
    made = history.recorder(Queue(), workers=lambda: now)
    made.turn()
    assert [(w.id, w.alive, w.seen_at) for w in history.seen_workers()] == [("2", True, START), ("1", True, START)]
    clock.now += 60
    now[:] = [worker("2"), replace(worker("3"), alive=False, heartbeat_at=START + 5)]
    made.turn()
    seen = history.seen_workers()
    assert [(w.id, w.alive, w.seen_at - START) for w in seen] == [("2", True, 60), ("3", False, 5), ("1", False, 0)]
    assert seen[-1].running == (("a", "tasks.add", START),)
    assert (seen[0].host, seen[0].pid, seen[0].queues) == ("box", 42, ("default",))
    story = Story(clock.now)
    story.tell("died", "", 0.0, token=3 << 32, worker=3, detail={"host": "box", "pid": 42, "how": "signal 9"})
    record(history, story.events)
    deaths = {each.id: each.death for each in history.seen_workers()}
    assert deaths == {"1": None, "2": None, "3": "worker 3 died on box as pid 42: signal 9"}, "1 has stopped"
    clock.now = START + 86400 + 30
    made.turn()
    assert [w.id for w in history.seen_workers()] == ["2"]
