"""The access database: one SQLite file. If it disappears, it is not replaced by a new one.

The first use in a process creates the file (mode 0600) and its folder, and checks the whole file. If the file
vanishes after that, it is an error, because a new file would have no accounts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from peewee import SqliteDatabase

from duey import files as config_files
from duey.monitor.access.errors import AccessUnavailable, SchemaTooNew
from duey.monitor.access.schema import ACCESS_SCHEMA, MIGRATIONS
from duey.monitor.sqlite_file import Migration, Opened, SqliteFile

BUSY_TIMEOUT_S = 5.0


class Database(SqliteFile):
    """Accounts, sessions, tokens, secrets and the audit log. Methods raise AccessUnavailable or a subclass."""

    what = "the access database"
    setting = "[auth] database"
    schema = ACCESS_SCHEMA
    # FULL: a revoked token or a changed password must survive a power cut.
    pragmas = (("synchronous", "FULL"), ("foreign_keys", 1))
    trouble = AccessUnavailable
    too_new = SchemaTooNew

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(url, migrations, busy_timeout_s)

    def _open(self) -> Opened:
        config_files.make_folder(self.path.parent)
        config_files.make_file(self.path)
        database = self._connected()
        # If this is refused (another owner, or a read-only disk), the first write reports it.
        config_files.mend_database(self.path)
        return Opened(database)

    def _check(self, database: SqliteDatabase) -> None:
        found = database.execute_sql("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")

    def _named_error(self, error: BaseException) -> AccessUnavailable:
        text = self.first_cause(error)
        wait = f"{self._busy_timeout_s:g} s"
        found = next((reason.format(wait=wait) for words, reason in _REASONS if words in text), None)
        unexpected = f"failed ({text}): make sure that the file and its disk are intact, then try again"
        return AccessUnavailable(str(self.path), found or unexpected)


_BROKEN = "is not a valid SQLite file: restore it from a backup, or move it away to start with a new one"
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
