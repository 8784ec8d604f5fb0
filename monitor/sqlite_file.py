"""A SQLite file of the monitor: opened late, by each thread for itself, and never in doubt after a failure.

Order: the first use in a process opens the file (which its subclass makes, where there is none) and walks it up to the
present schema; each thread then has a connection of its own, until `close`. Ending: a connection that failed is
dropped, so that the next use starts afresh when the file has recovered. Every failure of SQLite or the disk leaves as
the named error that the subclass makes of it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
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
    Table,
)

from duey import schema_copy

PREFIX = "sqlite:///"

Migration = Sequence[str]  # statements, run in one transaction together with the new version number
Identity = tuple[int, int]  # of a file: device and inode

# No trouble of the file. executemany() is not peewee's, and raises what sqlite3 raises.
_OF_VALUES = (
    DataError,
    IntegrityError,
    ProgrammingError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
)


class Opened(NamedTuple):
    """The file as this process has it open; `identity` is None where it is taken to stay the same."""

    database: SqliteDatabase
    identity: Identity | None = None


class SqliteFile(ABC):
    """Reads and writes for any number of threads and processes. `url` is `sqlite:///FILE`, else ValueError."""

    what: str  # what a person calls the file
    setting: str  # the key in config.ini that names it
    schema: Table  # its one row is the version
    pragmas: Sequence[tuple[str, object]]
    trouble: type[Exception]  # takes the path and what was found and what to do
    too_new: type[Exception]  # takes the path, the version in the file, and the newest that is known

    def __init__(self, url: str, migrations: Sequence[Migration], busy_timeout_s: float) -> None:
        name = url.removeprefix(PREFIX)
        if name in ("", url) or name.startswith(":"):
            raise ValueError(f"{self.what}: expected sqlite:///FILE, found {url!r}")
        self.path = Path(name).resolve()  # a link stays a link when the file behind it is made anew
        self._migrations = migrations
        self._busy_timeout_s = busy_timeout_s
        # By process id: what came through fork() must neither be used nor let go of, for closing a connection
        # would act on the parent's file, and a lock that was held would stay so for ever.
        self._of_process: dict[int, Opened] = {}
        self._opening: dict[int, threading.Lock] = {}

    def prepare(self) -> None:
        """Make, check and migrate the file now rather than at the first use. Raises the file's named errors."""
        with self.reading():
            pass

    @contextmanager
    def reading(self) -> Iterator[SqliteDatabase]:
        """This thread's connection, each statement by itself. Raises the file's named errors."""
        try:
            database = self._database()
            database.connect(reuse_if_open=True)
        except (DatabaseError, sqlite3.Error, OSError) as error:
            raise self._named_error(error) from error
        try:
            yield database
        except _OF_VALUES:
            raise
        except (DatabaseError, InterfaceError, sqlite3.DatabaseError) as error:
            self._drop(database)
            raise self._named_error(error) from error

    @contextmanager
    def writing(self) -> Iterator[SqliteDatabase]:
        """One transaction that holds the write lock from its start; inside another one, a part of that."""
        # IMMEDIATE: a transaction that reads first, and then finds another writer, fails without waiting.
        with self.reading() as database, database.atomic():
            yield database

    def write_if_free(self, query: Any) -> None:
        """Execute a write that may be lost (when was it last seen?): nobody waits or fails for it."""
        with suppress(self.trouble), self.reading() as database:
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

    # what a subclass says

    @abstractmethod
    def _open(self) -> Opened:
        """Make the file where there is none, and answer `_connected`."""

    @abstractmethod
    def _named_error(self, error: BaseException) -> Exception:
        """The named error for a failure of SQLite or the disk."""

    @abstractmethod
    def _check(self, database: SqliteDatabase) -> None:
        """What is looked at, or said, on a connection before all else."""

    def _identity(self) -> Identity | None:
        """Which file it is now: what was opened as another one is opened anew. None: taken to stay the same."""
        return None

    # opened once per process, for as long as it stays the same file

    def _database(self) -> SqliteDatabase:
        pid = os.getpid()
        opened = self._of_process.get(pid)
        if opened is not None and opened.identity == self._identity():
            return opened.database
        with self._opening.setdefault(pid, threading.Lock()):
            opened = self._of_process.get(pid)
            if opened is None or opened.identity != self._identity():
                opened = self._of_process[pid] = self._open()
        return opened.database

    def _connected(self) -> SqliteDatabase:
        """Connected and at the present schema."""
        database = SqliteDatabase(
            # rw: SQLite itself never makes a file, so that what is opened is what was seen.
            f"file:{quote(os.fsencode(self.path))}?mode=rw",
            uri=True,
            timeout=self._busy_timeout_s,
            lock_type="IMMEDIATE",
            autoconnect=False,
            pragmas=self.pragmas,
        )
        try:
            database.connect()
            self._check(database)
            # A look first: what is not ours, or newer, is left as it is; who only reads need not wait for who writes.
            version = self._version(database)
            self._switch_to_wal(database)
            if version != len(self._migrations):
                with database.atomic():
                    self._migrate(database)
        except BaseException:
            with suppress(Exception):
                database.close()
            raise
        return database

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
        """The version of the schema in the file, None if it has none. Raises if the file is not ours, or newer."""
        tables = database.get_tables()
        if self.schema.__name__ not in tables:
            if tables:
                found = f"holds other tables ({', '.join(tables)[:80]}): name another file in {self.setting}"
                raise self.trouble(str(self.path), found)
            return None
        version = int(self.schema.select(self.schema.c.version).scalar(database) or 0)
        if version > len(self._migrations):
            raise self.too_new(str(self.path), version, len(self._migrations))
        return version

    def _migrate(self, database: SqliteDatabase) -> None:
        version = self._version(database)  # another process may have been first
        if version is None:
            database.execute_sql(f"CREATE TABLE {self.schema.__name__} (version INTEGER NOT NULL)")
            self.schema.insert(version=0).execute(database)
        elif version < len(self._migrations):
            try:
                schema_copy.keep(self.path, version, len(self._migrations))
            except schema_copy.NoCopy as exc:
                raise self.trouble(str(self.path), str(exc)) from exc
        for migration in self._migrations[version or 0 :]:
            for statement in migration:
                database.execute_sql(statement)
        self.schema.update(version=len(self._migrations)).execute(database)

    def _drop(self, database: SqliteDatabase) -> None:
        if not database.in_transaction():
            with suppress(Exception):
                database.close()

    def first_cause(self, error: BaseException) -> str:
        """The failure that began it: where SQLite rolled back by itself, the rollback that follows fails too."""
        while isinstance(error.__context__, (sqlite3.Error, DatabaseError, OSError, self.trouble)):
            error = error.__context__
        return str(error)
