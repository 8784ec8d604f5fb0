"""The file: made private, migrated once, and refused in words when it is not ours."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from duey.monitor.history import History, HistoryTooNew, HistoryUnavailable
from duey.monitor.history.database import Database
from duey.monitor.history.schema import MIGRATIONS
from tests.monitor.history.conftest import Queue, Settings, Story, record
from tests.support.troubles import in_a_child, one_sentence

NEXT = (
    *MIGRATIONS,
    ("ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'", "CREATE INDEX jobs_by_mood ON jobs (mood)"),
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# making it


def test_nothing_touches_the_disk_before_the_first_use(history: History, path: Path) -> None:
    assert not path.parent.exists()


@pytest.mark.parametrize("url", ["", "monitor.db", "sqlite:///", "sqlite:///:memory:", "postgres://host/db"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected sqlite:///FILE"):
        History(url, Settings())


def test_the_file_and_its_log_belong_to_their_owner_alone(history: History, path: Path) -> None:
    history.prepare()
    assert history.note_visit("ada") is None
    wal = path.with_name(path.name + "-wal")
    assert (mode(path), mode(wal)) == (0o600, 0o600)


def test_the_settings_of_a_connection(path: Path) -> None:
    with Database(f"sqlite:///{path}").reading() as db:
        assert db.journal_mode == "wal"
        assert db.synchronous == 2  # FULL
        assert db.pragma("auto_vacuum") == 2  # INCREMENTAL


def test_close_ends_the_connection_and_the_next_use_opens_another(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    database.close()  # nothing is open yet
    with database.reading() as db:
        assert not db.is_closed()
    database.close()
    assert db.is_closed()
    with database.reading() as db:
        assert not db.is_closed()


def test_a_forked_child_opens_a_connection_of_its_own(history: History, story: Story) -> None:
    story.plain_job("a")
    record(history, story.events)
    assert in_a_child(lambda: history.job("a").state) == "done"
    assert history.job("a").state == "done"


# migrations


def test_an_older_file_is_walked_up_once_and_keeps_its_rows(history: History, path: Path, story: Story) -> None:
    story.plain_job("a")
    record(history, story.events)
    for _ in range(2):
        with Database(f"sqlite:///{path}", migrations=NEXT).reading() as db:
            assert db.execute_sql("SELECT id, mood FROM jobs").fetchall() == [("a", "calm")]
            assert db.execute_sql("SELECT version FROM books_schema").fetchall() == [(len(NEXT),)]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_each_older_schema_becomes_the_present_one(history: History, path: Path, story: Story, version: int) -> None:
    Database(f"sqlite:///{path}", migrations=MIGRATIONS[:version]).prepare()
    story.plain_job("a")
    record(history, story.events)
    assert history.job("a").state == "done"


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    Database(f"sqlite:///{path}").prepare()
    broken = (*MIGRATIONS, (*NEXT[-1], "ALTER TABLE nothing ADD COLUMN mood TEXT"))
    with pytest.raises(HistoryUnavailable):
        Database(f"sqlite:///{path}", migrations=broken).prepare()
    with Database(f"sqlite:///{path}").reading() as db:
        assert "mood" not in [column.name for column in db.get_columns("jobs")]
        assert db.execute_sql("SELECT version FROM books_schema").fetchall() == [(len(MIGRATIONS),)]


def test_a_newer_schema_is_refused_and_left_alone(history: History, path: Path, story: Story) -> None:
    Database(f"sqlite:///{path}", migrations=NEXT).prepare()
    with pytest.raises(HistoryTooNew) as refused:
        history.prepare()
    text = one_sentence(refused.value, path)
    assert f"have schema {len(NEXT)}" in text
    assert f"up to {len(MIGRATIONS)}" in text
    queue = Queue(story.events)
    story.plain_job("a")
    recorder = history.recorder(queue)
    recorder.turn()
    assert recorder.status.problem == text
    with Database(f"sqlite:///{path}", migrations=NEXT).reading() as db:
        assert db.execute_sql("SELECT version FROM books_schema").fetchone() == (len(NEXT),)


def test_a_file_of_another_program_is_refused_and_left_alone(history: History, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (id TEXT)")
    with pytest.raises(HistoryUnavailable, match="recipes") as refused:
        history.prepare()
    one_sentence(refused.value, path)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
