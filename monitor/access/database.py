"""The access database: one SQLite file, opened late, closed often, and never left in doubt.

Order: the first use in a process makes the file (mode 0600) and its folder, checks it, and walks it up to the
present schema; each thread then opens a connection of its own when it first reads or writes, and `close` ends
it (the web calls it after each request). Every failure of SQLite or the disk leaves as AccessUnavailable.
Ending: a connection that failed is dropped, so that the next use starts afresh when the file has recovered.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from peewee import DatabaseError, IntegrityError, InterfaceError, OperationalError, SqliteDatabase

from monitor.access.errors import AccessUnavailable, SchemaTooNew
from monitor.access.schema import ACCESS_SCHEMA, MIGRATIONS, Migration

PREFIX = "sqlite:///"
BUSY_TIMEOUT_S = 5.0


class Database:
    """Reads, writes and courtesy writes for any number of threads and processes.

    `url` is `sqlite:///FILE`. Raises ValueError for any other; everything else waits for the first use.
    """

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        name = url.removeprefix(PREFIX)
        if name in ("", url) or name.startswith(":"):
            raise ValueError(f"the access database: expected sqlite:///FILE, found {url!r}")
        self.path = Path(name).absolute()
        self._migrations = migrations
        self._busy_timeout_s = busy_timeout_s
        # By process id: what came through fork() must neither be used nor let go of, for closing a connection
        # would act on the parent's file, and a lock that was held would stay so for ever.
        self._of_process: dict[int, SqliteDatabase] = {}
        self._preparing: dict[int, threading.Lock] = {}

    def prepare(self) -> None:
        """Make, check and migrate the file now rather than at the first use. Raises AccessUnavailable."""
        with self.reading():
            pass

    @contextmanager
    def reading(self) -> Iterator[SqliteDatabase]:
        """This thread's connection, each statement by itself. Raises AccessUnavailable."""
        try:
            database = self._database()
            database.connect(reuse_if_open=True)
        except (DatabaseError, sqlite3.Error, OSError) as error:
            raise AccessUnavailable(str(self.path), self._reason(error)) from error
        try:
            yield database
        except IntegrityError:
            raise
        except (DatabaseError, InterfaceError) as error:
            self._drop(database)
            raise AccessUnavailable(str(self.path), self._reason(error)) from error

    @contextmanager
    def writing(self) -> Iterator[SqliteDatabase]:
        """One transaction that holds the write lock from its start; inside another one, a part of that."""
        # IMMEDIATE: a transaction that reads first, and then finds another writer, fails without waiting.
        with self.reading() as database, database.atomic():
            yield database

    def write_if_free(self, query: Any) -> None:
        """Execute a write that may be lost (when was it last seen?): nobody waits or fails for it."""
        with suppress(AccessUnavailable), self.reading() as database:
            _execute(database, "PRAGMA busy_timeout = 0")
            try:
                query.execute(database)
            finally:
                _execute(database, f"PRAGMA busy_timeout = {self._busy_timeout_s * 1000:.0f}")

    def close(self) -> None:
        """End this thread's connection, if it has one; the next use opens another."""
        database = self._of_process.get(os.getpid())
        if database is not None and not database.is_closed():
            database.close()

    # one file per process, prepared once

    def _database(self) -> SqliteDatabase:
        pid = os.getpid()
        if pid not in self._of_process:
            with self._preparing.setdefault(pid, threading.Lock()):
                if pid not in self._of_process:
                    self._of_process[pid] = self._prepared()
        return self._of_process[pid]

    def _prepared(self) -> SqliteDatabase:
        self._make_file()
        database = SqliteDatabase(
            # rw: a file that vanishes later is an error to report, not a fresh start without accounts.
            f"file:{quote(os.fsencode(self.path))}?mode=rw",
            uri=True,
            timeout=self._busy_timeout_s,
            lock_type="IMMEDIATE",
            autoconnect=False,
            # FULL: a revoked token or a changed password stays so after a power cut.
            pragmas=[("synchronous", "FULL"), ("foreign_keys", 1)],
        )
        try:
            database.connect()
            self._switch_to_wal(database)
            self._check(database)
            with database.atomic():
                self._migrate(database)
        except BaseException:
            with suppress(Exception):
                database.close()
            raise
        return database

    def _make_file(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Closing any descriptor of a file drops this process's SQLite locks on it: so only when the file is
        # new, and while no other thread can get between its creation and the closing.
        with _creating, suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        # Where this is refused, the file is another's or its disk is read-only, and the first write says so.
        with suppress(OSError):
            self.path.chmod(0o600)

    def _switch_to_wal(self, database: SqliteDatabase) -> None:
        give_up_at = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                _execute(database, "PRAGMA journal_mode = WAL")
                return
            except OperationalError as error:
                # SQLite does not wait by itself here when two processes make the switch at once.
                if "locked" not in str(error) or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.01)

    def _check(self, database: SqliteDatabase) -> None:
        found = _execute(database, "PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")

    def _migrate(self, database: SqliteDatabase) -> None:
        tables = database.get_tables()
        if ACCESS_SCHEMA.__name__ in tables:
            version = ACCESS_SCHEMA.select(ACCESS_SCHEMA.c.version).scalar(database) or 0
        elif tables:
            raise AccessUnavailable(
                str(self.path),
                f"holds other tables ({', '.join(tables)[:80]}): name another file in [auth] database",
            )
        else:
            _execute(database, "CREATE TABLE access_schema (version INTEGER NOT NULL)")
            ACCESS_SCHEMA.insert(version=0).execute(database)
            version = 0
        if version > len(self._migrations):
            raise SchemaTooNew(str(self.path), version, len(self._migrations))
        for migration in self._migrations[version:]:
            for statement in migration:
                _execute(database, statement)
        if version < len(self._migrations):
            ACCESS_SCHEMA.update(version=len(self._migrations)).execute(database)

    # failures

    def _drop(self, database: SqliteDatabase) -> None:
        if not database.in_transaction():
            with suppress(Exception):
                database.close()

    def _reason(self, error: BaseException) -> str:
        text = str(_first(error))
        for found, reason in _REASONS:
            if found in text:
                return reason.format(wait=f"{self._busy_timeout_s:g} s")
        return f"failed ({text}): make sure that the file and its disk are sound, then try again"


def _execute(database: Any, statement: str) -> Any:
    return database.execute_sql(statement)


_creating = threading.Lock()

_BROKEN = "is not a sound SQLite file: restore it from a backup, or move it away to start with a new one"
_REASONS = (
    ("not a database", _BROKEN),
    ("malformed", _BROKEN),
    ("no such table", "has lost its tables: restore it from a backup and start again"),
    ("no such column", "has lost its columns: restore it from a backup and start again"),
    ("locked", "was locked for {wait}: end what holds it (a backup, an open sqlite3 shell) and try again"),
    ("readonly", "cannot be written: let this process write the file and its folder"),
    ("Read-only file system", "cannot be written: its disk is mounted read-only"),
    ("unable to open", "cannot be opened: it must exist, and this process must be able to read and write it"),
    ("Permission denied", "cannot be opened: let this process read and write the file and its folder"),
    ("disk is full", "cannot grow because its disk is full: free some space and try again"),
    ("No space left", "cannot grow because its disk is full: free some space and try again"),
)


def _first(error: BaseException) -> BaseException:
    """The failure that began it: where SQLite rolled back by itself, the rollback that follows fails too."""
    while isinstance(error.__context__, (sqlite3.Error, DatabaseError, OSError, AccessUnavailable)):
        error = error.__context__
    return error
