"""The history file: made anew when it is gone, and never in the way of the work.

Every use first looks whether the file is still the one that was opened: one that was deleted, moved or restored
meanwhile is opened (and, if need be, made) again. A file that is broken is moved aside by `set_aside`, never deleted.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from peewee import SqliteDatabase

from duey import files as config_files
from duey.monitor.history import sqlite_errors
from duey.monitor.history.errors import HistoryBroken, HistoryGone, HistoryTooNew, HistoryUnavailable
from duey.monitor.history.schema import HISTORY_SCHEMA, MIGRATIONS, TABLES
from duey.monitor.sqlite_file import Identity, Migration, Opened, SqliteFile

BUSY_TIMEOUT_S = 2.0
JOURNAL_BYTES = 64 << 20  # what the log may keep on the disk after it was large
SIDE_FILES = ("-wal", "-shm", "-journal")


class Database(SqliteFile):
    """The history, for the recorder and all who read. Raises HistoryUnavailable and below."""

    what = "the history database"
    setting = "[monitor] database"
    schema = HISTORY_SCHEMA
    # FULL: the recorder deletes events only when what it made of them survives a power cut.
    pragmas = (("synchronous", "FULL"), ("journal_size_limit", JOURNAL_BYTES))
    trouble = HistoryUnavailable
    too_new = HistoryTooNew

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(url, migrations, busy_timeout_s)
        self.is_poison_suspect = False  # somebody found it broken; the recorder looks closer

    def is_sound(self) -> bool:
        """Whether SQLite finds nothing wrong in the whole file: slow, for a file under suspicion."""
        self.close()  # what this connection remembers of the file may be all right still
        try:
            with self.reading() as database:
                return database.execute_sql("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except HistoryBroken:
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

    # which file it is

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
        """An empty file, and nothing beside it: who still has one open that was deleted may be writing its log."""
        for ending in (*SIDE_FILES, ""):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}{ending}")
        config_files.make_file(self.path)

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        """One process at a time makes the file or moves it away; the kernel drops the lock of one that dies."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _check(self, database: SqliteDatabase) -> None:
        if database.pragma("page_count") == 0:
            database.pragma("auto_vacuum", "INCREMENTAL")  # of a new file, before all else

    def _version(self, database: SqliteDatabase) -> int | None:
        version = super()._version(database)
        if version is not None and not set(TABLES) <= set(database.get_tables()):
            raise sqlite3.DatabaseError("malformed: lost its tables")
        return version

    def _told(self, error: BaseException) -> HistoryUnavailable:
        kind, reason = sqlite_errors.tell(self.first_cause(error), self._busy_timeout_s)
        if kind is HistoryGone:
            self._forget()
        if kind is HistoryBroken:
            self.is_poison_suspect = True
        return kind(str(self.path), reason)
