"""A file that is broken, gone, locked, full or forbidden: told in one sentence, made anew or waited for, used again."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from duey.errors import StorageUnavailable
from duey.monitor.history import History, HistoryBroken, JobFilter
from duey.monitor.history.database import database
from tests.monitor.history.conftest import Clock, NewUrl, Queue, Settings, Story, record
from tests.support.file_errors import one_sentence


@pytest.fixture
def new_url(path: Path) -> NewUrl:
    return lambda: f"sqlite:///{path}"


RUBBISH = b"Dear diary, " * 1000


def damage(path: Path) -> None:
    """Overwrite all pages but the first."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


# broken ones


def test_a_file_that_is_no_database_is_moved_aside_at_the_start(history: History, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(RUBBISH)
    with pytest.raises(HistoryBroken) as refused:
        history.job_rows(JobFilter())  # a page does not move it
    one_sentence(refused.value, path)
    assert isinstance(refused.value, StorageUnavailable)
    assert path.read_bytes() == RUBBISH
    history.prepare()
    (aside,) = path.parent.glob("monitor.db.corrupt-*")
    assert aside.read_bytes() == RUBBISH
    assert history.job_rows(JobFilter()).rows == ()
    health = history.health()
    assert health.ok
    assert str(aside) in health.warnings[0]
    aside.unlink()
    assert history.health().warnings == ()


def test_a_damaged_file_is_told_and_moved_aside_by_the_recorder(history: History, path: Path, story: Story) -> None:
    for n in range(50):
        story.plain_job(f"job{n}", n)
    record(history, story.events)
    history.close()
    damage(path)
    with pytest.raises(HistoryBroken):
        history.job_rows(JobFilter())
    assert not history.health().ok
    story.plain_job("later", 100)
    recorder = history.recorder(Queue(story.events[-2:]))
    recorder.turn()
    assert [row.job.id for row in history.job_rows(JobFilter()).rows] == ["later"]
    assert len(list(path.parent.glob("monitor.db.corrupt-*"))) == 1
    assert history.health().ok


def test_a_suspicion_that_proves_wrong_moves_nothing(history: History, path: Path, story: Story) -> None:
    story.plain_job("a")
    record(history, story.events)
    history._database.may_be_damaged = True
    history.recorder(Queue()).turn()
    assert history.job("a").state == "done"
    assert not history._database.may_be_damaged
    assert list(path.parent.glob("*.corrupt-*")) == []


def test_a_file_that_lost_its_tables_is_begun_anew(history: History, path: Path, story: Story) -> None:
    story.plain_job("a")
    record(history, story.events)
    history.close()
    with closing(sqlite3.connect(path)) as other:
        other.executescript("DROP TABLE jobs; DROP TABLE entries;")
    recorder = history.recorder(Queue(story.events))
    for _ in range(3):  # it is missed, found broken, and begun anew
        recorder.turn()
    assert history.job("a").state == "done"


# those that go while they are open


@pytest.mark.parametrize("taken", ["the file", "the file and its log", "the folder", "the file is emptied"])
def test_what_is_taken_away_is_made_anew(history: History, path: Path, story: Story, taken: str) -> None:
    story.plain_job("before")
    record(history, story.events)
    reader = threading.Event(), threading.Event()
    seen: list[int] = []

    def read_before_and_after() -> None:
        seen.append(len(history.job_rows(JobFilter()).rows))
        reader[0].set()
        reader[1].wait(10)
        seen.append(len(history.job_rows(JobFilter()).rows))
        history.close()

    thread = threading.Thread(target=read_before_and_after)
    thread.start()
    assert reader[0].wait(10)
    if taken == "the file is emptied":
        path.write_bytes(b"")
        path.with_name(path.name + "-wal").write_bytes(b"")
    else:
        for file in [path] if taken == "the file" else list(path.parent.glob("monitor.db*")):
            file.unlink()
    if taken == "the folder":
        path.parent.rmdir()
    story.plain_job("after", 100)
    recorder = history.recorder(Queue(story.events[2:]))
    for _ in range(3):
        recorder.turn()
    reader[1].set()
    thread.join(10)
    assert recorder.status.problem is None
    assert [row.job.id for row in history.job_rows(JobFilter()).rows] == ["after"]
    assert seen == [1, 1]
    with database(f"sqlite:///{path}").reading() as db:
        assert db.execute_sql("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_restored_file_is_used_at_once(history: History, path: Path, story: Story) -> None:
    story.plain_job("a")
    record(history, story.events)
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(copy)) as target, closing(sqlite3.connect(path)) as now:
        now.backup(target)
    story.plain_job("b", 10)
    record(history, story.events)
    copy.replace(path)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    assert [row.job.id for row in history.job_rows(JobFilter()).rows] == ["a"]
    record(history, story.events)
    assert [row.job.id for row in history.job_rows(JobFilter()).rows] == ["b", "a"]


# those that cannot be used for a while


def test_a_full_disk_is_reported_and_nothing_is_half_written(history: History, story: Story, clock: Clock) -> None:
    story.plain_job("a")
    record(history, story.events)
    with history._database.reading() as db:
        db.execute_sql("PRAGMA max_page_count = 1")  # at least as many as there are
    for n in range(200):
        story.plain_job(f"job{n}", n)
    recorder = history.recorder(queue := Queue(story.events))
    recorder.turn()
    assert "disk is full" in (recorder.status.problem or "")
    assert history.kept().jobs == 1
    assert len(queue.waiting) == len(story.events)
    recorder.turn()  # the failed connection was dropped, and its limit with it
    assert recorder.status.problem is None
    assert history.kept().jobs == 201


def test_a_file_that_breaks_while_the_recorder_remembers_it_is_found_out(
    history: History, path: Path, story: Story
) -> None:
    story.plain_job("before")
    recorder = history.recorder(queue := Queue(story.events))
    recorder.turn()
    path.write_bytes(RUBBISH)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink()
    other = History(f"sqlite:///{path}", Settings(), Clock())
    with pytest.raises(HistoryBroken):
        other.job_rows(JobFilter())
    history._database.may_be_damaged = True  # as it is when a page of the same process has found it broken
    story.plain_job("after", 100)
    queue.waiting = story.events[2:]
    recorder.turn()
    for each in (history, other):  # mended from what the recorder remembered, or begun anew
        assert "after" in [row.job.id for row in each.job_rows(JobFilter()).rows]
    assert (recorder.status.problem, other.health().ok) == (None, True)
