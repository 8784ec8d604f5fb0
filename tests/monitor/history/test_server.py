"""What holds for a history on PostgreSQL alone: its tables, a lock over hosts, a server that goes and comes back."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from duey.errors import StorageUnavailable
from duey.monitor.history import History, HistoryTooNew, JobFilter
from duey.monitor.history.database import Database, Server, database
from duey.monitor.history.recording import recorder
from duey.monitor.history.schema import MIGRATIONS
from duey.monitor.history.schema import TABLES as TABLES_OF_BEFORE
from tests.monitor.conftest import PATIENCE_S
from tests.monitor.history.conftest import Clock, NewUrl, Queue, Settings, Story, record
from tests.support.forked import idle_child
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.waiting import wait_until

TYPES = {"INTEGER": "bigint", "REAL": "double precision", "TEXT": "text"}
OTHERWISE = {
    "slots_to_look_at": ("outcome", "schedule", "at"),  # a reason may be longer than an entry of an index
    "jobs_by_keeping": ("(finished_at + keep_s)",),
    **{f"jobs_by_{name}": (column, "n", "state") for name, column in (
        ("queue", "queue"), ("error", "error_type"), ("fingerprint", "fingerprint"),
    )},
}  # fmt: skip
END_LOCK_HOLDERS = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture
def new_url(postgres: str) -> NewUrl:
    return lambda: postgres


@pytest.fixture
def other(url: str) -> Iterator[Database]:
    """The same history as another process has it."""
    made = database(url)
    yield made
    made.close()


# tables


def tables_of_sqlite(path: Path) -> tuple[dict[str, list[tuple[str, str, bool]]], dict[str, tuple[str, ...]]]:
    """Columns by table, and columns by index, with the row id that SQLite adds."""
    with closing(sqlite3.connect(path)) as con:
        names = [row[0] for row in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns, indexes = {}, {}
        for table in names:
            info = con.execute(f"PRAGMA table_info({table})").fetchall()
            columns[table] = [(name, TYPES[kind], bool(required or key)) for _, name, kind, required, _, key in info]
            for _, index, unique, origin, _ in con.execute(f"PRAGMA index_list({table})").fetchall():
                if origin == "c":
                    found = con.execute(f"PRAGMA index_xinfo({index})").fetchall()
                    keys = [name or "n" for _, _, name, _, _, is_key in found if is_key or not unique]
                    indexes[index] = (
                        tuple(keys) if columns[table][0][0] == "n" else tuple(keys[: sum(r[5] for r in found)])
                    )
    return columns, indexes


def test_both_kinds_have_the_same_tables(history: History, tmp_path: Path) -> None:
    file = database(f"sqlite:///{tmp_path}/monitor.db")
    file.prepare()
    columns, indexes = tables_of_sqlite(tmp_path / "monitor.db")
    with history.database.reading() as db:
        found = {
            table: [(each.name, each.data_type, not each.null) for each in db.get_columns(table)]
            for table in db.get_tables()
        }
        made = {each.name: each for table in found for each in db.get_indexes(table)}
        (version,) = db.execute_sql("SELECT version FROM books_schema").fetchone()
        sorts = db.execute_sql(
            "SELECT DISTINCT collation_name FROM information_schema.columns WHERE data_type = 'text' AND "
            "table_schema = 'duey_history'"
        ).fetchall()
    assert version == len(MIGRATIONS)
    assert found.keys() == columns.keys()
    for table, wanted in columns.items():
        assert found[table] == wanted or table == "books_schema", table
    assert {**indexes, **OTHERWISE} == {name: tuple(made[name].columns) for name in indexes}
    assert sorts == [("C",)], "in the order of bytes, as SQLite has it"
    assert set(TABLES_OF_BEFORE) < found.keys()
    file.close()


def test_an_older_schema_is_walked_up_and_a_newer_one_refused(history: History, url: str, story: Story) -> None:
    story.plain_job("a")
    record(history, story.events)
    newer = Server(url, (*MIGRATIONS, ("ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",)))
    newer.prepare()
    with newer.reading() as db:
        assert db.execute_sql("SELECT id, mood FROM jobs").fetchall() == [("a", "calm")]
    newer.close()
    with pytest.raises(HistoryTooNew, match=f"has schema {len(MIGRATIONS) + 1}"):
        History(url, Settings(), Clock()).job_rows(JobFilter())


def test_a_text_that_no_index_holds_is_left_out_and_said(
    history: History, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    long = "".join(chr(random.Random(n).randrange(0x1F300, 0x1FA00)) for n in range(1000))  # 4 bytes each
    for job_id in ("a", long, "b"):
        story.enqueue(job_id)
    made = history.recorder(queue := Queue(story.events))
    made.turn()
    made.close()
    assert (made.status.problem, made.status.refused, queue.waiting) == (None, 1, [])
    assert [history.job(each).state for each in ("a", "b")] == ["queued", "queued"]
    assert "cannot be recorded" in caplog.text


def test_tables_that_were_dropped_are_made_again(
    history: History, story: Story, postgres_server: PostgresServer, url: str
) -> None:
    story.plain_job("a")
    record(history, story.events)
    postgres_server.sql("DROP SCHEMA duey_history CASCADE", url.rpartition("/")[2])
    with pytest.raises(StorageUnavailable, match="has lost its tables"):
        history.job_rows(JobFilter())
    record(history, story.events)
    assert history.job("a").state == "done"


def test_what_the_history_holds(history: History, story: Story) -> None:
    story.plain_job("a", 5)
    record(history, story.events)
    kept = history.kept()
    assert (kept.jobs, kept.wal_bytes, kept.disk_free_bytes) == (1, 0, None)
    assert kept.file_bytes > 100_000 and kept.began_at > 1_700_000_000
    assert history.health().ok


# the lock


def test_the_lock_goes_on_at_once_where_its_connection_ends(
    history: History, other: Database, postgres_server: PostgresServer
) -> None:
    one, two = history.database.lock("recorder"), other.lock("recorder")
    assert (one.take(), two.take(), one.take()) == (True, False, True)
    assert other.lock("alerts").take(), "another name is another lock"
    postgres_server.sql(END_LOCK_HOLDERS)
    assert wait_until(two.take, PATIENCE_S, "the other takes it")
    with pytest.raises(StorageUnavailable, match="terminating connection"):
        one.take()
    assert one.take() is False
    two.release()
    assert one.take()
    one.release()


def test_a_forked_child_does_not_keep_the_lock(history: History, other: Database) -> None:
    lock = history.database.lock("recorder")
    assert lock.take()
    with idle_child():
        assert lock.take(), "the child has not ended the connection"
        lock.release()
        taken = other.lock("recorder")
        assert wait_until(taken.take, PATIENCE_S, "another takes the lock")
        taken.release()


# trouble


def test_a_server_that_is_away_is_waited_for(
    history: History, story: Story, clock: Clock, postgres_server: PostgresServer, url: str
) -> None:
    story.plain_job("a")
    story.plain_job("b", 10)
    queue = Queue(story.events[:2])
    made = history.recorder(queue)
    made.turn()
    queue.waiting += story.events[2:]
    postgres_server.stop()
    try:
        assert made.turn() == recorder.BACK_OFF_S[0]
        problem = made.status.problem or ""
        assert problem.startswith("the history postgresql://127.0.0.1:") and "\n" not in problem
        assert PASSWORD not in problem
        with pytest.raises(StorageUnavailable, match=r"cannot be reached .* start its server"):
            History(url, Settings(), clock).job_rows(JobFilter())
        health = history.health()
        assert not health.ok and len(queue.waiting) == 2
        assert history.note_visit("ada") is None, "a page does not fail for a visit"
    finally:
        postgres_server.start()
    wait_until(lambda: made.turn() == recorder.IDLE_S, PATIENCE_S, "it records again")
    assert (queue.waiting, made.status.problem) == ([], None)
    assert [row.job.id for row in history.job_rows(JobFilter()).rows] == ["b", "a"]
    made.close()


def test_a_writer_that_waits_too_long_says_so_and_records_later(
    url: str, story: Story, other: Database, clock: Clock
) -> None:
    history = History(url, Settings(), clock)
    history._database = Server(url, busy_timeout_s=0.05)
    story.plain_job("a")
    made = history.recorder(queue := Queue(story.events))
    with other.writing():
        made.turn()
        assert "was locked for 0.05 s" in (made.status.problem or "")
        assert history.job_rows(JobFilter()).rows == (), "who reads is not held up"
    made.turn()
    assert (queue.waiting, made.status.problem) == ([], None)
    made.close()
