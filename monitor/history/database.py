"""The history database: a SQLite file, or tables on a PostgreSQL server.

Every use of the file first checks whether it is still the one that was opened. If it was deleted, moved or restored, it
is opened again, and created if it is missing. A broken file is moved away by `mend` and never deleted. Tables that were
dropped on the server are created again as well. So a lost history never stops the work.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sqlite3
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import peewee
from peewee import SqliteDatabase

from duey import files as config_files
from duey.files import SIDE_FILES
from duey.monitor import postgres_database
from duey.monitor.database import Identity, Migration, MonitorDatabase, Opened
from duey.monitor.history.dialect import for_postgresql
from duey.monitor.history.errors import HistoryBroken, HistoryGone, HistoryTooNew, HistoryUnavailable, classify
from duey.monitor.history.recording.lease import Lease
from duey.monitor.history.schema import HISTORY_SCHEMA, LATER_TABLES, MIGRATIONS, TABLES
from duey.monitor.postgres_lock import SessionLock
from duey.monitor.sqlite_file import SqliteFile

BUSY_TIMEOUT_S = 2.0
JOURNAL_BYTES = 64 << 20  # the write-ahead log is cut to this size after a checkpoint
VACUUM_PAGES = 256
MANY_FREE_PAGES, MUCH_FREE = 1000, 0.25
TABLES_BYTES = (
    "SELECT SUM(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = ?::regnamespace AND relkind = 'r'"
)


MAY_ASK = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
SERVER = "SELECT system_identifier FROM pg_control_system()"


class Size(NamedTuple):
    """Bytes. `free`: on its disk, None if nobody here can know."""

    file: int
    log: int
    free: int | None


class Exclusive(Protocol):
    """A lock that one process holds at a time. Call `take` and `release` in one thread only."""

    def take(self) -> bool:
        """Take the lock, or look whether it is still held. Return False if another process holds it."""

    def release(self) -> None: ...


class Database(MonitorDatabase):
    """The history database, for reading and writing. Methods raise HistoryUnavailable or a subclass."""

    what = "the history database"
    setting = "[monitor] database"
    schema = HISTORY_SCHEMA
    trouble = HistoryUnavailable
    too_new = HistoryTooNew
    folder: Path | None = None  # of the file
    lease_path: Path | None = None  # the file that the process which records has locked; it is never replaced

    @abstractmethod
    def lock(self, name: str) -> Exclusive:
        """The lock `name` of this history, over all processes that use it."""

    @abstractmethod
    def where(self) -> str:
        """Return where this history is, as all hosts that use it name it."""

    @abstractmethod
    def size(self) -> Size: ...

    def start(self) -> None:
        """Create, check and upgrade the tables now. A broken file is moved away."""
        self.prepare()

    def mend(self) -> Path | None:
        """After an error that suggests damage: check the file. Return where it is kept, if it had to be moved away."""
        return None

    def asides(self) -> list[Path]:
        """Return the paths of broken files that were moved away and still exist."""
        return []

    def free_space(self, only_if_much: bool = False) -> bool:
        """Return some free space to the disk, where the server does not do so itself. Return whether there is more."""
        return False

    def free_log(self) -> None:
        """Return the space of the write-ahead log to the disk."""


def database(url: str) -> Database:
    """The database of `sqlite:///FILE` or `postgresql://...`. Raises ValueError for another URL."""
    return Server(url) if url.startswith(postgres_database.PREFIX) else File(url)


class Server(Database, postgres_database.PostgresDatabase):
    """Tables on a PostgreSQL server, which returns free space itself."""

    part = "history"

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(url, for_postgresql(migrations), busy_timeout_s)
        self._where = ""

    def where(self) -> str:
        """By the identity of the server, which has another address on another host."""
        if not self._where:
            # Beside the tables, which whoever only asks must not make.
            with self.named_errors(), self.connect_alone() as connection:
                (may_ask,) = connection.execute(MAY_ASK).fetchone()
                (server,) = connection.execute(SERVER).fetchone() if may_ask else (self.place,)
            self._where = f"{self._name} (schema {self.schema_name}) of the PostgreSQL server {server}"
        return self._where

    def lock(self, name: str) -> SessionLock:
        return SessionLock(self, name)

    def size(self) -> Size:
        with self.reading() as db:
            return Size(int(db.execute_sql(TABLES_BYTES, (self.schema_name,)).fetchone()[0] or 0), 0, None)

    def _named_error(self, error: BaseException) -> Exception:
        if self.sqlstate(error) in ("42P01", "3F000"):  # no such table, no such schema
            self._forget()
        return super()._named_error(error)


class File(Database, SqliteFile):
    """A SQLite file."""

    # FULL: events are deleted from the queue once they are recorded, so the record must survive a power cut.
    pragmas = (("synchronous", "FULL"), ("journal_size_limit", JOURNAL_BYTES))

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(url, migrations, busy_timeout_s)
        self.folder, self.lease_path = self.path.parent, self.path.with_name(f"{self.path.name}.recorder")
        self.may_be_damaged = False  # an error says that the file is broken

    def where(self) -> str:
        return f"{socket.gethostname()}:{self.path}"

    def lock(self, name: str) -> Lease:
        return Lease(self.path.with_name(f"{self.path.name}.{name}"))

    def size(self) -> Size:
        free = shutil.disk_usage(self.path.parent).free
        return Size(_size(self.path), _size(f"{self.path}-wal"), free)

    def start(self) -> None:
        try:
            self.prepare()
        except HistoryBroken:
            self._set_aside()
            self.prepare()

    def mend(self) -> Path | None:
        if not self.may_be_damaged:
            return None
        aside = None if self._is_sound() else self._set_aside()
        self.may_be_damaged = False
        return aside

    def free_space(self, only_if_much: bool = False) -> bool:
        with self.reading() as db:
            free, pages = (int(db.pragma(name)) for name in ("freelist_count", "page_count"))
            if only_if_much and free <= max(MANY_FREE_PAGES, MUCH_FREE * pages):
                return False
            # executescript runs the statement to its end; execute would free only one page.
            db.connection().executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
            return int(db.pragma("freelist_count")) > 0

    def free_log(self) -> None:
        with self.reading() as db:
            db.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _is_sound(self) -> bool:
        """Return whether SQLite finds no error in the file. Slow: it reads all of it."""
        self.close()  # a new connection, because this one may have cached pages
        try:
            with self.reading() as database:
                return database.execute_sql("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except HistoryBroken:
            return False

    def _set_aside(self) -> Path:
        """Rename the file to `NAME.corrupt-YYYYMMDD-HHMMSS`; return the new path. The next use creates a new file."""
        self._forget()
        with self._folder_locked():
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
            # The log is moved first, because SQLite would apply it to a new file of the same name.
            for ending in (*SIDE_FILES, ""):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}{ending}", f"{aside}{ending}")
        return aside

    def asides(self) -> list[Path]:
        found = self.path.parent.glob(f"{self.path.name}.corrupt-*")
        return sorted(path for path in found if not path.name.endswith(SIDE_FILES))

    # identity of the file

    def _identity(self) -> Identity | None:
        """Return device and inode, or None if the file is missing or empty. A file that was set up is never empty."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found.st_size else None

    def _open(self) -> Opened:
        config_files.make_folder(self.path.parent)
        if self._identity() is None:
            with self._folder_locked():
                if self._identity() is None:
                    self._make_file()
                    return self._opened()
        return self._opened()

    def _opened(self) -> Opened:
        before = self._identity()
        database = self._connected()
        identity = self._identity()
        if identity is None or before not in (None, identity):
            with suppress(Exception):
                database.close()
            raise sqlite3.OperationalError("unable to open: it was replaced meanwhile")
        config_files.mend_database(self.path)
        return Opened(database, identity)

    def _make_file(self) -> None:
        """Create an empty file, and delete old side files: a process may still write the log of a deleted file."""
        for ending in (*SIDE_FILES, ""):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}{ending}")
        config_files.make_file(self.path)

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        """Lock the folder, so that one process at a time creates or moves the file. A process that dies releases it."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _check(self, database: SqliteDatabase) -> None:
        if database.pragma("page_count") == 0:
            database.pragma("auto_vacuum", "INCREMENTAL")  # only possible before the first table

    def _version(self, database: peewee.Database) -> int | None:
        version = super()._version(database)
        if version is None:
            return None
        expected = {*TABLES, *(name for name, since in LATER_TABLES.items() if since <= version)}
        if not expected <= set(database.get_tables()):
            raise sqlite3.DatabaseError("malformed: lost its tables")
        return version

    def _named_error(self, error: BaseException) -> HistoryUnavailable:
        kind, reason = classify(self.first_cause(error), self._busy_timeout_s)
        if kind is HistoryGone:
            self._forget()
        if kind is HistoryBroken:
            self.may_be_damaged = True
        return kind(str(self.path), reason)


def _size(path: str | os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
