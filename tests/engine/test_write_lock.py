"""How a process waits for the write lock of the queue's file: not for long after it is free, and not for ever."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import StorageBusy
from engine.on_sqlite.database import Database


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


@pytest.mark.parametrize("role", ["accept", "work"])
def test_a_lock_that_is_never_given_back_is_named(path, role):
    database = Database(path, busy_s=0.2)
    with held(path), pytest.raises(StorageBusy, match="locked by another program"), database.write(role):
        raise AssertionError("the lock is held")
    with database.write(role):
        pass


@pytest.mark.parametrize("role", ["accept", "work"])
def test_a_lock_is_taken_soon_after_it_is_free(path, role):
    database = Database(path)
    with database.write(role):
        pass
    freed = 0.0
    late: list[float] = []

    def wait() -> None:
        with database.write(role):
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
