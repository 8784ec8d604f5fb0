"""The file of the queue as older versions made it: brought up to date by the first who opens it, with all it holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from duey.config import load
from duey.errors import SchemaMismatch
from duey.instance import make_storage
from duey.storage.sqlite import schema
from tests.support.kept_files import as_if_new

QUEUE_3 = Path(__file__).parent / "queue_3.sql"  # of schema version 3, written by its own version


@pytest.fixture
def con(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "queue.db", isolation_level=None)


def tables(con: sqlite3.Connection) -> dict[str, list[tuple[str, str]]]:
    """The columns of each table, with their types; a step can only add at the end, and the order means nothing."""
    names = [row[0] for row in con.execute("select name from sqlite_master where type = 'table'")]
    return {name: sorted(row[1:3] for row in con.execute(f"pragma table_info({name})")) for name in sorted(names)}


def indexes(con: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(con.execute("select name, tbl_name from sqlite_master where type = 'index'"))


def test_the_first_version_becomes_the_present_one(con: sqlite3.Connection, tmp_path: Path) -> None:
    con.executescript(as_if_new(QUEUE_3, 1795954445))
    con.execute("alter table workers drop column code")  # which version 2 brought, and the others version 3
    for column in ("sequel", "by", "tree_deaths"):
        con.execute(f"alter table jobs drop column {column}")
    con.execute("update meta set value = 1 where key = 'schema'")
    con.execute("insert into events (job, kind, token, at, attempt) values (1, 'parked', -9, 1.0, 0)")
    con.execute("insert into parked values (4, 'task', 'shop.add', 0, 1.0)")
    con.execute("update jobs set deliveries = 2 where seq = 4")
    schema.prepare(con, "queue.db")
    schema.prepare(con, "queue.db")
    assert schema.version_of(con) == schema.VERSION
    assert con.execute("select crashes, sequel, by, tree_deaths from jobs where seq = 4").fetchall() == [
        (2, None, None, 0)
    ]
    assert con.execute("select name from blocked").fetchall() == [("shop.add",)]
    assert con.execute("select kind from outbox where token = -9").fetchall() == [("blocked",)]
    new = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    schema.prepare(new, "new.db")
    assert tables(con) == tables(new)
    assert indexes(con) == indexes(new)


def test_a_file_of_the_version_before_goes_on(tmp_path: Path) -> None:
    made = sqlite3.connect(tmp_path / "queue.db")
    made.executescript(as_if_new(QUEUE_3, 1795954445))
    made.close()
    (tmp_path / "config.ini").write_text("[storage]\npath = queue.db\n")
    storage = make_storage(load(tmp_path / "config.ini", {}))
    storage.prepare()
    seen = {(job.job.task, job.state, job.reason) for job in storage.list_jobs(None, None, None, 9, None)}
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
