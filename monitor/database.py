"""A database of the monitor: one interface for accounts and history, over a SQLite file or a PostgreSQL server.

Order: the first use in a process opens the database, walks it up to the present schema, and each thread then has a
connection of its own until `close`. Ending: a connection that failed is dropped, so that the next use starts afresh
when the database has recovered. Every failure leaves as the named error that the subclass makes of it; errors of
values (a name that is taken) leave as peewee's.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import peewee
from peewee import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError, Table

Migration = Sequence[str]  # statements, run in one transaction together with the new version number
Identity = tuple[int, int]  # of a file: device and inode


class Opened(NamedTuple):
    """The database as this process has it open; `identity` is None where it is taken to stay the same."""

    database: peewee.Database
    identity: Identity | None = None


class MonitorDatabase(ABC):
    """Reads and writes for any number of threads and processes. `place` is what messages call it, without secrets.

    `migrations` are statements of its dialect: the n-th turns schema n into n + 1.
    """

    what: str  # what a person calls the database
    setting: str  # the key in config.ini that names it
    schema: Table  # its one row is the version
    trouble: type[Exception]  # takes the place and what was found and what to do
    too_new: type[Exception]  # takes the place, the version that was found, and the newest that is known

    # No trouble of the database, and of the database. executemany() is not peewee's, and raises what the driver raises.
    of_values: tuple[type[BaseException], ...] = (DataError, IntegrityError, ProgrammingError)
    failures: tuple[type[BaseException], ...] = (DatabaseError, InterfaceError)

    def __init__(self, place: str, migrations: Sequence[Migration], busy_timeout_s: float) -> None:
        self.place = place
        self._migrations = migrations
        self._busy_timeout_s = busy_timeout_s
        # By process id: what came through fork() must neither be used nor let go of, for closing a connection
        # would act on the parent's, and a lock that was held would stay so for ever.
        self._of_process: dict[int, Opened] = {}
        self._opening: dict[int, threading.Lock] = {}

    def prepare(self) -> None:
        """Make, check and migrate the tables now rather than at the first use. Raises the named errors."""
        with self.reading():
            pass

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """This thread's connection, each statement by itself. Raises the named errors."""
        unopened: tuple[type[BaseException], ...] = (*self.failures, OSError)
        try:
            database = self._database()
            database.connect(reuse_if_open=True)
        except unopened as error:
            raise self._named_error(error) from error
        try:
            yield database
        except (*self.of_values, *self.failures) as error:
            if self._is_of_values(error):
                raise
            self._drop(database)
            raise self._named_error(error) from error

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction that holds the write lock from its start; inside another one, a part of that."""
        with self.reading() as database, database.atomic():
            yield database

    @abstractmethod
    def write_if_free(self, query: Any) -> None:
        """Execute a write that may be lost (when was it last seen?): nobody waits or fails for it."""

    def close(self) -> None:
        """End this thread's use of its connection, if it has one; the next use opens another."""
        opened = self._of_process.get(os.getpid())
        if opened is not None and not opened.database.is_closed():
            opened.database.close()

    # what the two kinds differ in

    @abstractmethod
    def _open(self) -> Opened:
        """Open the database in this process, at the present schema."""

    @abstractmethod
    def _named_error(self, error: BaseException) -> Exception:
        """The named error for a failure."""

    @abstractmethod
    def _drop(self, database: peewee.Database) -> None:
        """Close this thread's connection after a failure, unless it is within a transaction."""

    def _is_of_values(self, error: BaseException) -> bool:
        """Whether an error is about values, and the database is well."""
        return isinstance(error, self.of_values)

    def _identity(self) -> Identity | None:
        """Which file it is now: what was opened as another one is opened anew. None: taken to stay the same."""
        return None

    # opened once per process, for as long as it stays the same

    def _forget(self) -> None:
        """Let the next use open the database anew."""
        opened = self._of_process.pop(os.getpid(), None)
        if opened is not None:
            with suppress(Exception):
                opened.database.close()

    def _database(self) -> peewee.Database:
        pid = os.getpid()
        opened = self._of_process.get(pid)
        if opened is not None and opened.identity == self._identity():
            return opened.database
        with self._opening.setdefault(pid, threading.Lock()):
            opened = self._of_process.get(pid)
            if opened is None or opened.identity != self._identity():
                opened = self._of_process[pid] = self._open()
        return opened.database

    def _version(self, database: peewee.Database) -> int | None:
        """The version of the schema, None if there is none. Raises if the tables are not ours, or newer."""
        tables = database.get_tables()
        if self.schema.__name__ not in tables:
            if tables:
                raise self.trouble(self.place, self._foreign(", ".join(tables)[:80]))
            return None
        version = int(self.schema.select(self.schema.c.version).scalar(database) or 0)
        if version > len(self._migrations):
            raise self.too_new(self.place, version, len(self._migrations))
        return version

    @abstractmethod
    def _foreign(self, tables: str) -> str:
        """What was found and what to do where there are other tables."""

    def _migrate(self, database: peewee.Database) -> None:
        version = self._version(database)  # another process may have been first
        if version is None:
            database.execute_sql(f"CREATE TABLE {self.schema.__name__} (version INTEGER NOT NULL)")
            self.schema.insert(version=0).execute(database)
        elif version < len(self._migrations):
            self._before_migration(version)
        for migration in self._migrations[version or 0 :]:
            for statement in migration:
                database.execute_sql(statement)
        self.schema.update(version=len(self._migrations)).execute(database)

    @abstractmethod
    def _before_migration(self, version: int) -> None:
        """Called within the transaction that migrates tables of an older version."""
