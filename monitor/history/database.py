"""The history file. It is created again if it was deleted, so that a lost file never stops the work.

Every use first checks whether the file is still the one that was opened. If it was deleted, moved or restored, it is
opened again, and created if it is missing. A broken file is moved away by `set_aside` and never deleted.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import peewee
from peewee import SqliteDatabase

from duey import files as config_files
from duey.files import SIDE_FILES
from duey.monitor.database import Identity, Migration, Opened
from duey.monitor.history.errors import HistoryBroken, HistoryGone, HistoryTooNew, HistoryUnavailable, classify
from duey.monitor.history.schema import HISTORY_SCHEMA, LATER_TABLES, MIGRATIONS, TABLES
from duey.monitor.sqlite_file import SqliteFile

BUSY_TIMEOUT_S = 2.0
JOURNAL_BYTES = 64 << 20  # the write-ahead log is cut to this size after a checkpoint


class Database(SqliteFile):
    """The history database, for reading and writing. Methods raise HistoryUnavailable or a subclass."""

    what = "the history database"
    setting = "[monitor] database"
    schema = HISTORY_SCHEMA
    # FULL: events are deleted from the queue once they are recorded, so the record must survive a power cut.
    pragmas = (("synchronous", "FULL"), ("journal_size_limit", JOURNAL_BYTES))
    trouble = HistoryUnavailable
    too_new = HistoryTooNew

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(url, migrations, busy_timeout_s)
        self.may_be_damaged = False  # an error says that the file is broken; the recorder checks it

    @property
    def lease_path(self) -> Path:
        """The file that the process which records has locked. It is never replaced."""
        return self.path.with_name(f"{self.path.name}.recorder")

    def is_sound(self) -> bool:
        """Return whether SQLite finds no error in the file. Slow: it reads all of it."""
        self.close()  # a new connection, because this one may have cached pages
        try:
            with self.reading() as database:
                return database.execute_sql("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except HistoryBroken:
            return False

    def set_aside(self) -> Path:
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
        """Return the paths of broken files that were moved away and still exist."""
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

    def _forget(self) -> None:
        opened = self._of_process.pop(os.getpid(), None)
        if opened is not None:
            with suppress(Exception):
                opened.database.close()

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
