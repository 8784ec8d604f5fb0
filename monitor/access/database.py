"""The access database: a SQLite file, or tables on a PostgreSQL server.

The first use in a process creates the file (mode 0600) and its folder, and checks the whole file. If the file
vanishes after that, it is an error, because a new file would have no accounts. The same holds for the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from peewee import SqliteDatabase

from duey import files as config_files
from duey.monitor import postgres_database
from duey.monitor.access.errors import AccessUnavailable, SchemaTooNew
from duey.monitor.access.schema import ACCESS_SCHEMA, MIGRATIONS
from duey.monitor.access.schema_postgres import MIGRATIONS as POSTGRES_MIGRATIONS
from duey.monitor.database import Migration, MonitorDatabase, Opened
from duey.monitor.sqlite_file import SqliteFile

BUSY_TIMEOUT_S = 5.0


class Database(MonitorDatabase):
    """Accounts, sessions, tokens, secrets and the audit log. Methods raise AccessUnavailable or a subclass."""

    what = "the access database"
    setting = "[auth] database"
    schema = ACCESS_SCHEMA
    trouble = AccessUnavailable
    too_new = SchemaTooNew
    key_file: Path | None  # where the key of second factors is, if no setting gives it
    token_cache_s: float  # how long a process may use what it has read of a token
    ever_numbered: str  # SQL whose row says that a table (`tokens`) ever had one


def database(url: str) -> Database:
    """The database of `sqlite:///FILE` or `postgresql://...`. Raises ValueError for another URL."""
    return Server(url) if url.startswith(postgres_database.PREFIX) else File(url)


class Server(Database, postgres_database.PostgresDatabase):
    """Tables on a PostgreSQL server."""

    part = "access"
    key_file = None
    token_cache_s = 0.0  # a query is cheap beside the way to the server of a revoked token
    # What was rolled back counts, too: then there is no first token, and a person makes one.
    ever_numbered = "SELECT 1 WHERE pg_sequence_last_value('tokens_id_seq') IS NOT NULL"

    def __init__(
        self, url: str, migrations: Sequence[Migration] = POSTGRES_MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(url, migrations, busy_timeout_s)


class File(Database, SqliteFile):
    """A SQLite file."""

    token_cache_s = 2.0
    # FULL: a revoked token or a changed password must survive a power cut.
    pragmas = (("synchronous", "FULL"), ("foreign_keys", 1))
    ever_numbered = "SELECT seq FROM sqlite_sequence WHERE name = 'tokens' AND seq > 0"

    def __init__(
        self, url: str, migrations: Sequence[Migration] = MIGRATIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(url, migrations, busy_timeout_s)
        self.key_file = self.path.with_suffix(".key")

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
