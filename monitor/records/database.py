"""The file of the books: opened late, closed often, made anew when it is gone, and never in the way of the work.

Order: the first use in a process makes the file (mode 0600) and its folder, and walks it up to the present schema;
each thread then has a connection of its own, until `close`. Every use first looks whether the file is still the one
that was opened: one that was deleted, moved or restored meanwhile is opened (and, if need be, made) again. Every
failure of SQLite or the disk leaves as BooksUnavailable. Ending: a connection that failed is dropped, so that the
next use starts afresh. A file that is broken is moved aside by `set_aside`, never deleted.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from peewee import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SqliteDatabase,
)

from monitor.records import troubles
from monitor.records.errors import BooksBroken, BooksGone, BooksTooNew, BooksUnavailable
from monitor.records.schema import BOOKS_SCHEMA, MIGRATIONS, TABLES, Migration

PREFIX = "sqlite:///"
BUSY_TIMEOUT_S = 2.0
JOURNAL_BYTES = 64 << 20  # what the log may keep on the disk after it was large
SIDE_FILES = ("-wal", "-shm", "-journal")

Identity = tuple[int, int]  # device and inode
# executemany() is not peewee's, and raises what sqlite3 raises.
_OF_VALUES = (
    DataError,
    IntegrityError,
    ProgrammingError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
)


class _Opened(NamedTuple):
    database: SqliteDatabase
    identity: Identity


class Database:
    """Reads and writes for any number of threads and processes. `url` is `sqlite:///FILE`, else ValueError."""

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        name = url.removeprefix(PREFIX)
        if name in ("", url) or name.startswith(":"):
            raise ValueError(f"the database of the books: expected sqlite:///FILE, found {url!r}")
        self.path = Path(name).resolve()  # a link stays a link when the file behind it is made anew
        self._migrations = migrations
        self._busy_timeout_s = busy_timeout_s
        self.is_suspect = False  # somebody found it broken; the recorder looks closer
        # By process id: what came through fork() must neither be used nor let go of, for closing a connection
        # would act on the parent's file, and a lock that was held would stay so for ever.
        self._of_process: dict[int, _Opened] = {}
        self._opening: dict[int, threading.Lock] = {}

    def prepare(self) -> None:
        """Make, check and migrate the file now rather than at the first use. Raises BooksUnavailable."""
        with self.reading():
            pass

    @contextmanager
    def reading(self) -> Iterator[SqliteDatabase]:
        """This thread's connection, each statement by itself. Raises BooksUnavailable and below."""
        try:
            database = self._database()
            database.connect(reuse_if_open=True)
        except (DatabaseError, sqlite3.Error, OSError) as error:
            raise self._told(error) from error
        try:
            yield database
        except _OF_VALUES:
            raise  # no trouble of the file
        except (DatabaseError, InterfaceError, sqlite3.DatabaseError) as error:
            self._drop(database)
            raise self._told(error) from error

    @contextmanager
    def writing(self) -> Iterator[SqliteDatabase]:
        """One transaction that holds the write lock from its start; synced when it ends."""
        # IMMEDIATE: a transaction that reads first, and then finds another writer, fails without waiting.
        with self.reading() as database, database.atomic():
            yield database

    def write_if_free(self, query: Any) -> None:
        """Execute a write that may be lost: nobody waits or fails for it."""
        with suppress(BooksUnavailable), self.reading() as database:
            database.execute_sql("PRAGMA busy_timeout = 0")
            try:
                query.execute(database)
            finally:
                database.execute_sql(f"PRAGMA busy_timeout = {self._busy_timeout_s * 1000:.0f}")

    def close(self) -> None:
        """End this thread's connection, if it has one; the next use opens another."""
        opened = self._of_process.get(os.getpid())
        if opened is not None and not opened.database.is_closed():
            opened.database.close()

    def is_sound(self) -> bool:
        """Whether SQLite finds nothing wrong in the whole file: slow, for a file under suspicion."""
        try:
            with self.reading() as database:
                return database.execute_sql("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except BooksBroken:
            return False

    def set_aside(self) -> Path:
        """Move the file away, as `NAME.corrupt-YYYYMMDD-HHMMSS` beside it; the next use begins a new one."""
        self._forget()
        with self._folder_locked():
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
            # The log first: beside a new file it would be taken for that one's.
            for ending in (*SIDE_FILES, ""):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}{ending}", f"{aside}{ending}")
        return aside

    def asides(self) -> list[Path]:
        """The files that were moved away and are still there."""
        found = self.path.parent.glob(f"{self.path.name}.corrupt-*")
        return sorted(path for path in found if not path.name.endswith(SIDE_FILES))

    # one file per process, opened once for as long as it stays the same

    def _database(self) -> SqliteDatabase:
        pid = os.getpid()
        opened = self._of_process.get(pid)
        if opened is not None and opened.identity == self._identity():
            return opened.database
        with self._opening.setdefault(pid, threading.Lock()):
            opened = self._of_process.get(pid)
            if opened is None or opened.identity != self._identity():
                opened = self._of_process[pid] = self._opened()
        return opened.database

    def _identity(self) -> Identity | None:
        """Which file it is; None where there is none, or nothing in it: one that was begun is never empty."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found.st_size else None

    def _forget(self) -> None:
        opened = self._of_process.pop(os.getpid(), None)
        if opened is not None:
            with suppress(Exception):
                opened.database.close()

    def _opened(self) -> _Opened:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._identity() is None:
            with self._folder_locked():
                if self._identity() is None:
                    self._make_file()
                    return self._connected()
        return self._connected()

    def _make_file(self) -> None:
        """An empty file, and nothing beside it: who still has one open that was deleted may be writing its log."""
        for ending in (*SIDE_FILES, ""):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}{ending}")
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    def _connected(self) -> _Opened:
        database = SqliteDatabase(
            # rw: SQLite itself never makes a file, so that what is opened is what was seen.
            f"file:{quote(os.fsencode(self.path))}?mode=rw",
            uri=True,
            timeout=self._busy_timeout_s,
            lock_type="IMMEDIATE",
            autoconnect=False,
            # FULL: the recorder deletes events only when what it made of them survives a power cut.
            pragmas=[("synchronous", "FULL"), ("journal_size_limit", JOURNAL_BYTES)],
        )
        before = self._identity()
        try:
            database.connect()
            if database.pragma("page_count") == 0:
                database.pragma("auto_vacuum", "INCREMENTAL")  # of a new file, before all else
            self._switch_to_wal(database)
            # A look first: who only reads need not wait for who writes.
            if self._version(database) != len(self._migrations):
                with database.atomic():
                    self._migrate(database)
            identity = self._identity()
            if identity is None or before not in (None, identity):
                raise sqlite3.OperationalError("unable to open: it was replaced meanwhile")
        except BaseException:
            with suppress(Exception):
                database.close()
            raise
        return _Opened(database, identity)

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        """One process at a time makes the file or moves it away; the kernel drops the lock of one that dies."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _switch_to_wal(self, database: SqliteDatabase) -> None:
        give_up_at = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                database.execute_sql("PRAGMA journal_mode = WAL")
                return
            except OperationalError as error:
                # SQLite does not wait by itself here when two processes make the switch at once.
                if "locked" not in str(error) or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.01)

    def _version(self, database: SqliteDatabase) -> int | None:
        """The schema in the file, None where there is none. Raises BooksUnavailable for what is not ours."""
        tables = database.get_tables()
        if BOOKS_SCHEMA.__name__ not in tables:
            if tables:
                raise BooksUnavailable(
                    str(self.path),
                    f"hold other tables ({', '.join(tables)[:80]}): name another file in [monitor] database",
                )
            return None
        version = int(BOOKS_SCHEMA.select(BOOKS_SCHEMA.c.version).scalar(database) or 0)
        if version > len(self._migrations):
            raise BooksTooNew(str(self.path), version, len(self._migrations))
        if not set(TABLES) <= set(tables):
            raise sqlite3.DatabaseError("malformed: lost its tables")
        return version

    def _migrate(self, database: SqliteDatabase) -> None:
        version = self._version(database)  # another process may have been first
        if version is None:
            database.execute_sql("CREATE TABLE books_schema (version INTEGER NOT NULL)")
            BOOKS_SCHEMA.insert(version=0).execute(database)
        for migration in self._migrations[version or 0 :]:
            for statement in migration:
                database.execute_sql(statement)
        BOOKS_SCHEMA.update(version=len(self._migrations)).execute(database)

    # failures

    def _drop(self, database: SqliteDatabase) -> None:
        if not database.in_transaction():
            with suppress(Exception):
                database.close()

    def _told(self, error: BaseException) -> BooksUnavailable:
        kind, reason = troubles.tell(error, self._busy_timeout_s)
        if kind is BooksGone:
            self._forget()
        if kind is BooksBroken:
            self.is_suspect = True
        return kind(str(self.path), reason)
