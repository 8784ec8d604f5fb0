"""How a process waits for the write lock of the queue's file: not for long after it is free, and not for ever."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from duey.errors import StorageBusy, StorageUnavailable
from duey.storage.sqlite.connection.database import Database


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's write lock."""
    con = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    con.execute("begin immediate")
    try:
        yield con
    finally:
        con.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Database(tmp_path / "queue.db").prepare()
    return tmp_path / "queue.db"


def write(database: Database, role: str) -> None:
    with database.write(role) as con:
        con.execute("replace into meta values ('written', 1)")


def write_at_once(database: Database, role: str) -> None:
    assert database.write_at_once("replace into meta values ('written', ?)", (1,), role)


WAYS = [(write, "synced"), (write, "relaxed"), (write_at_once, "synced")]


@pytest.mark.parametrize(("way", "role"), WAYS)
def test_a_lock_that_is_never_given_back_is_named(path, way, role):
    database = Database(path, busy_s=0.2)
    began = time.monotonic()
    with held(path), pytest.raises(StorageBusy, match="locked by another program"):
        way(database, role)
    assert time.monotonic() - began >= 0.2, "it was waited for"
    way(database, role)


@pytest.mark.parametrize(("way", "role"), WAYS)
def test_a_lock_is_taken_soon_after_it_is_free(path, way, role):
    database = Database(path)
    way(database, role)
    freed = 0.0
    late: list[float] = []

    def wait() -> None:
        way(database, role)
        late.append(time.monotonic() - freed)

    for _ in range(5):
        with held(path) as con:
            waiter = threading.Thread(target=wait)
            waiter.start()
            time.sleep(0.15)  # by then SQLite's own waiting would look every 50 ms
            freed = time.monotonic()
            con.execute("rollback")
        waiter.join()
    assert min(late) < 0.01


def test_nothing_is_written_once_a_job_has_closed_all_files_of_the_process(tmp_path: Path) -> None:
    """SQLite would write into whatever is opened under the numbers of its files."""
    db = Database(tmp_path / "queue.db")
    with db.write("synced") as con:
        con.execute("create table t (a)")
    assert db._descriptor is not None
    with pytest.raises(StorageUnavailable, match="has closed all files"), db.write("synced") as con:
        con.execute("insert into t values (1)")
        os.close(db._descriptor.fd)  # amid a transaction, too
    other = os.open("/dev/null", os.O_RDONLY)  # under the same number
    for role in ("synced", "read"):
        with pytest.raises(StorageUnavailable, match="has closed all files"):
            db.connection(role)
    db.close()
    os.fstat(other)  # not closed in place of its own
    os.close(other)
    with db.read(placed=False) as con:
        assert con.execute("select count(*) from t").fetchone() == (0,)
    db.close()
