"""The SQLite file of the queue: connections, transactions and errors.

Connections are opened on first use, once for each process; a forked child never uses those of its parent. There are
three roles. `synced`: commits are synced (`durability = full`). `relaxed`: commits are not synced, because a lost one
only runs a job again. `read`: never writes, one connection for each thread, so that a page never waits for the disk. A
write transaction begins immediate. Every sqlite3 error becomes a subclass of StorageUnavailable.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from duey import errors, faults, files
from duey.os_process import OwnDescriptor
from duey.storage.sqlite.connection import preflight
from duey.storage.sqlite.connection.preflight import explain, is_mistake
from duey.storage.sqlite.steps import inbox

CACHE = "pragma cache_size = -8000"  # KiB, for each writing connection
READ_CACHE = "pragma cache_size = -2000"  # smaller, because each reading thread has one
LOG_ROOM = 16 * 2**20  # bytes
SHORT, ROOMY = 250, 3500  # pages of the log after which it is moved into the file: without that room, and with it
READ_BUSY_S = 0.2  # how long reading waits to give new jobs their place
LOOK_AGAIN_S = (0.0002, 0.0008)  # between two attempts at a write lock that another process holds


class Database:
    """The queue file, for one process."""

    def __init__(
        self, path: Path | str, durable: bool = True, busy_s: float = 5.0,
        on_open: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:  # fmt: skip
        self._on_open = on_open  # of a connection whose commits are synced
        self.path = str(path)
        self.busy_s = busy_s
        self.durable = durable
        self._seen = False  # whether this process, or its parent before the fork, has opened the file
        self._descriptor: OwnDescriptor | None = None  # of this process, or inherited
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._inode: tuple[int, int] | None = None
        self._open: dict[str, sqlite3.Connection] = {}
        self._locks = {"synced": threading.RLock(), "relaxed": threading.RLock()}
        self._last = {"synced": 0, "relaxed": 0}  # number of the last transaction
        self._opening = threading.RLock()
        self._readers = threading.local()
        self._mine = threading.local()  # last: role and number of the last transaction of this thread
        self._generation = 0
        self._inherited: list[object] = []

    # opening

    def _connect(self, role: str) -> sqlite3.Connection:
        with self._opening:
            self._descriptor = self._descriptor or OwnDescriptor(os.open("/", os.O_RDONLY))
            try:
                if self._inode is None:
                    con = preflight.connect_first(self.path, self.busy_s, self._seen)
                    preflight.refuse_moved(con)
                    self._seen = True
                else:
                    con = preflight.connect(self.path, self.busy_s)
                con.execute(f"pragma synchronous = {'full' if role == 'synced' and self.durable else 'normal'}")
                con.execute(f"pragma wal_autocheckpoint = {8000 if role != 'synced' else self._log_pages()}")
                con.execute(READ_CACHE if role == "read" else CACHE)
                con.execute(f"pragma {'query_only = 1' if role == 'read' else 'busy_timeout = 0'}")  # _when_free waits
                if role == "synced" and self._on_open is not None:
                    self._on_open(con)
                stat = os.stat(self.path)
            except sqlite3.Error as exc:
                raise explain(exc, self.path) from exc
            except OSError as exc:
                raise errors.StorageUnavailable(f"the queue {self.path} is not there ({exc.strerror})") from exc
            self._inode = (stat.st_dev, stat.st_ino)
            return con

    def _log_pages(self) -> int:
        """From how many pages on a commit moves the log into the file. Consumers do that regularly. If there are none,
        nobody has given the log its length, and while it grows, each sync takes twice as long."""
        log_bytes = 0
        with suppress(FileNotFoundError):
            log_bytes = os.stat(f"{self.path}-wal").st_size
        return SHORT if self.durable and log_bytes <= LOG_ROOM // 2 else ROOMY

    def connection(self, role: str) -> sqlite3.Connection:
        """The connection of a role, opened if needed."""
        if self._pid != os.getpid():
            inherited = [self._open, self._readers, self._inherited]
            self._reset()
            self._inherited = inherited  # never closed: closing a parent's connection would release its locks
        self._check_descriptors()
        self._check_file()
        if role == "read":
            con: sqlite3.Connection | None = getattr(self._readers, "con", None)
            if con is None or self._readers.generation != self._generation:
                con = self._readers.con = self._connect(role)
                self._readers.generation = self._generation
            return con
        con = self._open.get(role)
        if con is None:
            con = self._open[role] = self._connect(role)
        return con

    def _check_file(self) -> None:
        """Raise StorageUnavailable if the file was removed or emptied: writes would be lost without an error."""
        if self._inode is None:
            return
        try:
            stat = os.stat(self.path)
        except OSError:
            raise errors.StorageUnavailable(preflight.REMOVED.format(self.path)) from None
        if (stat.st_dev, stat.st_ino) != self._inode:
            self.close()  # the file was replaced: open the new one
        elif not stat.st_size:
            raise explain(sqlite3.DatabaseError("file is not a database: it is empty"), self.path)

    def _check_descriptors(self) -> None:
        """Raise StorageUnavailable if a job has closed all files of this process. SQLite still has the numbers of its
        own, and would write into whatever is opened under them: into the job's files, or another part of the queue."""
        if self._descriptor is not None and not self._descriptor.is_open():
            raise errors.StorageUnavailable("a job has closed all files of this process: start it again")

    def close(self) -> None:
        """Close all connections of this process."""
        with self._opening:
            if self._descriptor is not None:
                self._descriptor.close()
                self._descriptor = None
            if self._pid == os.getpid():
                for con in self._open.values():
                    con.close()
            self._open = {}
            self._generation += 1
            self._inode = None

    # transactions

    @contextmanager
    def write(self, role: str, step: str = "", busy_s: float | None = None) -> Iterator[sqlite3.Connection]:
        """One write transaction: all or nothing. In it every job has a place. `step` names the kill points of tests.
        `busy_s`: wait no longer for the write lock."""
        con = self.connection(role)
        point = faults.point if step else None
        with self._locks[role]:
            try:
                mine = self._number(role, con)
                try:  # around everything: a time-out may raise in this thread at any point
                    if point:
                        point(f"{step}.begun")
                    self._when_free(con, "begin immediate", busy_s=busy_s)
                    self._mine.last = role, mine
                    inbox.distribute(con)
                    yield con
                    if point:
                        point(f"{step}.written")
                    self._commit(con)
                    if point:
                        point(f"{step}.committed")
                except BaseException:
                    if con.in_transaction and self._last[role] == mine:
                        con.execute("rollback")
                    raise
            except sqlite3.Error as exc:
                if is_mistake(exc):
                    raise
                raise explain(exc, self.path) from exc

    def write_at_once(self, statement: str, values: Sequence[Any], role: str = "synced") -> bool:
        """One statement that is a transaction of its own. False, and nothing is written, if SQLite refuses the
        values."""
        con = self.connection(role)
        with self._locks[role]:
            try:
                self._number(role, con)
                self._when_free(con, statement, values)
            except Exception as exc:
                if is_mistake(exc):
                    return False
                if isinstance(exc, sqlite3.Error):
                    raise explain(exc, self.path) from exc
                raise
        return True

    def _number(self, role: str, con: sqlite3.Connection) -> int:
        """Number the transaction that begins, and roll back one that is still open: a time-out may have struck while
        `write` was being entered or left, where it cannot be caught. Nobody was told that this one succeeded."""
        if con.in_transaction:
            con.execute("rollback")
        self._last[role] += 1
        return self._last[role]

    def _is_writing(self) -> bool:
        """Whether this thread is in a write transaction."""
        role, number = getattr(self._mine, "last", ("", 0))
        return role in self._open and self._open[role].in_transaction and self._last[role] == number

    def _when_free(
        self, con: sqlite3.Connection, statement: str, values: Sequence[Any] = (), busy_s: float | None = None
    ) -> None:
        """Execute a statement that takes the write lock, and wait for the lock at most `busy_s`.

        SQLite itself sleeps up to 100 ms between two attempts, the longer the longer it has waited, and other processes
        take the lock in the meantime. Trying every half millisecond is fairer.
        """
        deadline = 0.0
        while True:
            try:
                con.execute(statement, values)
                return
            except sqlite3.OperationalError as exc:
                if "locked" not in str(exc) or (deadline and time.monotonic() > deadline):
                    raise
            deadline = deadline or time.monotonic() + (self.busy_s if busy_s is None else busy_s)
            time.sleep(random.uniform(*LOOK_AGAIN_S))

    def _commit(self, con: sqlite3.Connection) -> None:
        self._check_descriptors()
        try:
            con.execute("commit")
        except sqlite3.Error as exc:
            if con.in_transaction:
                con.execute("rollback")
            raise explain(exc, self.path) from exc

    @contextmanager
    def read(self, placed: bool = True) -> Iterator[sqlite3.Connection]:
        """A connection for reading. Begin a transaction on it if several reads must see the same state. `placed`: give
        the jobs in the inbox their place before."""
        con = self.connection("read")
        try:
            if placed and not inbox.is_empty(con) and not self._is_writing():
                with suppress(errors.StorageUnavailable), self.write("relaxed", busy_s=READ_BUSY_S):
                    pass  # if that fails, what has a place is still worth reading
            yield con
        except sqlite3.Error as exc:
            raise explain(exc, self.path) from exc
        finally:
            if con.in_transaction:
                con.execute("rollback")

    def prepare(self) -> None:
        """Create or migrate the file, and check that it can be written. Raises StorageUnavailable."""
        self.make_room()
        with self.write("synced") as con:
            con.execute("insert into meta values ('checked', 1) on conflict (key) do update set value = value + 1")

    def make_room(self) -> None:
        """Preallocate the write-ahead log. A synced commit that extends a file also waits for the journal of the file
        system, and takes twice as long. The log exists while the file is open, so this is for processes that keep it
        open. What is written here is rolled back and overwritten later. On a disk that it would fill, there is none."""
        con = self.connection("synced")  # makes the folder
        if self._log_pages() == ROOMY or files.free_bytes(self.path) < 2 * LOG_ROOM:
            return
        with self._locks["synced"], suppress(sqlite3.Error):  # without it everything works, only slower
            con.execute("pragma cache_size = 64")  # so that pages are written to the log before the rollback
            try:
                con.execute("begin immediate")
                con.execute("insert into meta values ('room', zeroblob(?))", (LOG_ROOM,))
            finally:
                if con.in_transaction:
                    con.execute("rollback")
                con.execute(CACHE)
                con.execute(f"pragma wal_autocheckpoint = {self._log_pages()}")

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, without blocking readers or writers."""
        con = self.connection("relaxed")
        with self._locks["relaxed"]:
            try:
                con.execute("pragma wal_checkpoint(passive)").fetchall()
            except sqlite3.Error as exc:
                raise explain(exc, self.path) from exc
