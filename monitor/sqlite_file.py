"""A SQLite file of the monitor: its subclass makes it where there is none, and its writers wait for each other."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import peewee
from peewee import OperationalError, SqliteDatabase

from duey import schema_copy
from duey.monitor.database import Migration, MonitorDatabase

PREFIX = "sqlite:///"


class SqliteFile(MonitorDatabase):
    """`url` is `sqlite:///FILE`, else ValueError. `_open`: make the file where there is none, answer `_connected`."""

    pragmas: Sequence[tuple[str, object]]
    of_values = (
        *MonitorDatabase.of_values, sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError,
    )  # fmt: skip
    failures = (*MonitorDatabase.failures, sqlite3.Error)

    def __init__(self, url: str, migrations: Sequence[Migration], busy_timeout_s: float) -> None:
        name = url.removeprefix(PREFIX)
        if name in ("", url) or name.startswith(":"):
            raise ValueError(f"{self.what}: expected sqlite:///FILE, found {url!r}")
        self.path = Path(name).resolve()  # a link stays a link when the file behind it is made anew
        super().__init__(str(self.path), migrations, busy_timeout_s)

    def write_if_free(self, query: Any) -> None:
        with suppress(self.trouble), self.reading() as database:
            database.execute_sql("PRAGMA busy_timeout = 0")
            try:
                query.execute(database)
            finally:
                database.execute_sql(f"PRAGMA busy_timeout = {self._busy_timeout_s * 1000:.0f}")

    def _check(self, database: SqliteDatabase) -> None:
        """What is looked at, or said, on a connection before all else."""

    def _connected(self) -> SqliteDatabase:
        """Connected and at the present schema."""
        database = SqliteDatabase(
            # rw: SQLite itself never makes a file, so that what is opened is what was seen.
            f"file:{quote(os.fsencode(self.path))}?mode=rw",
            uri=True,
            timeout=self._busy_timeout_s,
            # A transaction that reads first, and then finds another writer, would fail without waiting.
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

    def _foreign(self, tables: str) -> str:
        return f"holds other tables ({tables}): name another file in {self.setting}"

    def _before_migration(self, version: int) -> None:
        try:
            schema_copy.keep(self.path, version, len(self._migrations))
        except schema_copy.NoCopy as exc:
            raise self.trouble(self.place, str(exc)) from exc

    def _drop(self, database: peewee.Database) -> None:
        if not database.in_transaction():
            with suppress(Exception):
                database.close()

    def first_cause(self, error: BaseException) -> str:
        """The failure that began it: where SQLite rolled back by itself, the rollback that follows fails too."""
        while isinstance(error.__context__, (sqlite3.Error, peewee.DatabaseError, OSError, self.trouble)):
            error = error.__context__
        return str(error)
