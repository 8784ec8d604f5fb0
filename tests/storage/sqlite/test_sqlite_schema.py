"""The file of the queue as older versions made it: brought up to date by the first who opens it, with all it holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from duey.config import load
from duey.errors import SchemaMismatch
from duey.instance import make_storage
from duey.storage.sqlite import schema


@pytest.fixture
def con(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "queue.db", isolation_level=None)


def tables(con: sqlite3.Connection) -> dict[str, list[tuple[str, str]]]:
    """The columns of each table, with their types; a step can only add at the end, and the order means nothing."""
    names = [row[0] for row in con.execute("select name from sqlite_master where type = 'table'")]
    return {name: sorted(row[1:3] for row in con.execute(f"pragma table_info({name})")) for name in sorted(names)}


# What each version added to the tables of the one before, and what stood there.
ADDED = {
    2: {", code text not null default ''": ""},
    3: {
        ",\n        sequel text) ": ") ",
        "        by text,": "",
        "tree_deaths integer not null default 0,": "",
    },
    4: {"        waits_for text,": ""},
}


def test_the_first_version_becomes_the_present_one(con: sqlite3.Connection, tmp_path: Path) -> None:
    assert sorted(ADDED) == [version + 1 for version in sorted(schema.STEPS)]
    for statement in schema.DDL:
        for version in sorted(ADDED, reverse=True):
            for added, before in ADDED[version].items():
                statement = statement.replace(added, before)
        con.execute(statement)
    con.execute("insert into meta values ('schema', 1)")
    con.execute("insert into workers values (7, 'c', 'h', 1, 2.0, 4, 'thread', '*', '', 0, 0)")
    con.execute(
        "insert into jobs (id, task, queue, priority, enqueued_at, retries, retry_delay_s, flags, payload) "
        "values ('old', 't', 'q', 0, 0, 0, 0, 0, x'00')"
    )
    schema.prepare(con, "queue.db")
    schema.prepare(con, "queue.db")
    assert schema.version_of(con) == schema.VERSION
    assert con.execute("select n, code from workers").fetchall() == [(7, "")]
    assert con.execute("select id, sequel, by, tree_deaths from jobs").fetchall() == [("old", None, None, 0)]
    new = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    schema.prepare(new, "new.db")
    assert tables(con) == tables(new)


def test_a_file_of_the_version_before_goes_on(tmp_path: Path) -> None:
    made = sqlite3.connect(tmp_path / "queue.db")
    made.executescript((Path(__file__).parent / "queue_3.sql").read_text())
    made.close()
    (tmp_path / "config.ini").write_text("[storage]\npath = queue.db\n")
    storage = make_storage(load(tmp_path / "config.ini", {}))
    storage.prepare()
    seen = {(job.task, job.state, job.reason) for job in storage.list_jobs(None, None, None, 9, None)}
    assert seen == {
        ("shop.add", "done", None), ("shop.locked", "scheduled", None), ("shop.fails", "retrying", None),
        ("shop.add", "queued", None), ("shop.add", "scheduled", None),
    }  # fmt: skip
    storage.close()


def test_a_newer_version_is_left_alone(con: sqlite3.Connection) -> None:
    con.execute("create table meta (key text primary key, value) without rowid")
    con.execute("insert into meta values ('schema', ?)", (schema.VERSION + 1,))
    with pytest.raises(SchemaMismatch, match="install the newer Duey again"):
        schema.prepare(con, "queue.db")
    assert schema.version_of(con) == schema.VERSION + 1
