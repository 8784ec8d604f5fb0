"""A database of the monitor on a PostgreSQL server, for several webs at once.

Its tables stand in a schema of their own (`duey_access`, `duey_history`), so that accounts, history and several
services (`?schema=NAME`) share one database, and a GRANT or a pg_dump can name one of them. Each process has a pool
of connections; a thread takes one at its first use and gives it back with `close`.

One writer at a time, as with SQLite: a transaction of `writing` begins with an advisory lock of the schema, which the
server releases with the transaction, however it ends. So what is read after it (is this the last admin? how many
attempts?) is still true when it commits. The migration takes the same lock: of webs that start at once, one migrates.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import peewee
from playhouse.pool import PooledPostgresqlDatabase

from duey.monitor.database import Migration, MonitorDatabase, Opened
from duey.monitor.postgres_errors import Place, reason

try:
    import psycopg
except ImportError:  # without the extra `postgres`
    psycopg = None  # type: ignore[assignment]

logger = logging.getLogger("duey.monitor")
PREFIX = "postgresql://"
SCHEMA = "duey"  # before _access and _history
STATEMENT_TIMEOUT_S = 60
MIGRATION_LOCK_S = 600  # how long another web may take to migrate
# A web that is stopped, or cut off, within a transaction would keep all others from writing.
IDLE_IN_TRANSACTION_S = 60
CONNECT_TIMEOUT_S = 5
AGAIN_AFTER_S = 1.0
STALE_AFTER_S = 600
AS_ASKED = "SELECT current_setting('search_path'), current_setting('server_encoding')"
MAY_MAKE = """SELECT COALESCE((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s),
    has_database_privilege(current_database(), 'CREATE'))"""
DEAD_PEER = dict(keepalives_idle=30, keepalives_interval=10, keepalives_count=3, tcp_user_timeout=10_000)


def lock_key(text: str) -> int:
    """The number by which an advisory lock of this name is known."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


@dataclass
class Outage:
    """The last failure to connect; "" once it is over."""

    text: str = ""
    again_at: float = 0.0  # time.monotonic(): until then nobody tries


_outages: dict[str, Outage] = {}  # by URL: history and accounts mostly have the same server


class Pool(PooledPostgresqlDatabase):
    """Connections of one process. There are at most as many as threads, so none ever waits for one."""

    def __init__(self, parameters: dict[str, Any], outage: Outage) -> None:
        from duey.monitor.postgres_cursor import Cursor

        self._outage, self._cursor = outage, Cursor
        super().__init__(
            parameters.pop("dbname"), max_connections=None, stale_timeout=STALE_AFTER_S, autoconnect=False,
            prefer_psycopg3=True, **parameters,
        )  # fmt: skip

    def _connect(self) -> Any:
        # Threads connect one after the other. Of a server that is gone they would all wait for the time-out, and so
        # would a command for each thing that it asks.
        began = time.monotonic()
        if self._outage.text and began < self._outage.again_at:
            raise psycopg.OperationalError(self._outage.text)
        try:
            connection = super()._connect()
        except psycopg.OperationalError as error:
            now = time.monotonic()
            self._outage.text, self._outage.again_at = str(error), now + max(AGAIN_AFTER_S, now - began)
            raise
        self._outage.text = ""
        connection.cursor_factory = self._cursor
        return connection

    def _is_closed(self, conn: Any) -> bool:
        # One that is gone tells of all that are idle: else each would be waited for, one after the other.
        gone = bool(super()._is_closed(conn))
        if gone:
            self.close_idle()
        return gone


class PostgresDatabase(MonitorDatabase):
    """`url` is `postgresql://USER:PASSWORD@HOST:PORT/DB`, with options of libpq and `schema=NAME` behind a `?`, else
    ValueError."""

    part: str  # the end of the schema's name

    def __init__(self, url: str, migrations: Sequence[Migration], busy_timeout_s: float) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        base = options.pop("schema", SCHEMA)
        name = unquote(parts.path.strip("/"))
        if not url.startswith(PREFIX) or not name or not re.fullmatch("[a-z_][a-z0-9_]{0,40}", base):
            raise ValueError(f"{self.what}: expected postgresql://USER:PASSWORD@HOST:PORT/DB, found another URL")
        self.schema_name = f"{base}_{self.part}"
        self._url = urlunsplit(parts._replace(query=urlencode(options, quote_via=quote)))
        self._name, self._user = name, unquote(parts.username or options.get("user", "USER"))
        where = parts.netloc.rpartition("@")[2] or options.get("host", "")
        super().__init__(f"{PREFIX}{where}/{name} (schema {self.schema_name})", migrations, busy_timeout_s)
        self._outage = _outages.setdefault(self._url, Outage())
        self._lock_key = lock_key(f"duey {self.schema_name}")
        if psycopg is not None:
            # executemany() is not peewee's, and raises what the driver raises.
            self.of_values += (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError)
            self.failures += (psycopg.Error,)

    @contextmanager
    def writing(self) -> Iterator[Any]:
        with super().writing() as database:
            if database.transaction_depth() == 1:
                self._lock_writers(database)
            yield database

    def write_if_free(self, query: Any) -> None:
        with suppress(self.trouble), self.reading() as database, database.atomic():
            database.execute_sql("SET LOCAL lock_timeout = 1")  # ms
            query.execute(database)

    def look(self) -> tuple[int, int]:
        """The schema version that is there, 0 where there are no tables yet, and the newest known. Makes nothing.

        Raises the named errors, also where this user could not make the tables.
        """
        with self.named_errors():
            database = self._connected()
            try:
                version = self._version(database)
                (may_make,) = database.execute_sql(MAY_MAKE, (self.schema_name,)).fetchone()
            finally:
                database.close_all()
        if version is None and not may_make:
            raise self.trouble(self.place, self._reason("42501", f"permission denied for database {self._name}"))
        return version or 0, len(self._migrations)

    def _open(self) -> Opened:
        database = self._connected()
        try:
            # A look first: what is not ours, or newer, is left as it is; who only reads need not wait for who writes.
            if self._version(database) != len(self._migrations):
                with database.atomic():
                    self._migrate(database)
        except BaseException:
            with suppress(Exception):
                database.close_all()
            raise
        return Opened(database)

    def _connected(self) -> Pool:
        """A new pool, and a connection of this thread."""
        if psycopg is None:
            raise self._without_driver()
        database = Pool(self._parameters(), self._outage)
        database.connect()
        search_path, encoding = database.execute_sql(AS_ASKED).fetchone()
        found = ""
        if search_path != self.schema_name:
            found = f"is behind a pooler that drops options: name the server itself in {self.setting}"
        if encoding != "UTF8":
            found = f"has the encoding {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0"
        if found:
            database.close_all()
            raise self.trouble(self.place, found)
        return database

    def connect_alone(self) -> Any:
        """A connection of psycopg beside the pool, each statement by itself."""
        if psycopg is None:
            raise self._without_driver()
        return psycopg.connect(**self._parameters(), autocommit=True)

    @contextmanager
    def named_errors(self) -> Iterator[None]:
        """Let failures leave as the named errors."""
        try:
            yield
        except self.failures as error:
            raise self._named_error(error) from error

    def _parameters(self) -> dict[str, Any]:
        """What psycopg connects with."""
        try:
            given = psycopg.conninfo.conninfo_to_dict(self._url)
        except psycopg.Error as error:
            found = str(error).strip().partition("\n")[0]
            raise self.trouble(
                self.place, f"has an option that libpq refuses ({found}): correct {self.setting}"
            ) from None
        session = {
            "search_path": self.schema_name,
            "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
            "lock_timeout": f"{self._busy_timeout_s * 1000:.0f}",
            # A snapshot of the whole transaction would be older than the lock of writers that it waits for.
            "default_transaction_isolation": r"read\ committed",
            "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
            # What was recorded is deleted from the queue next, and what was revoked must stay so.
            "synchronous_commit": "on",
            # A plan for any values takes the index of the wrong column where one state or task is rare.
            "plan_cache_mode": "force_custom_plan",
        }
        options = " ".join([*(f"-c {name}={value}" for name, value in session.items()), str(given.get("options", ""))])
        defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": f"duey {self.part}", **DEAD_PEER}
        return {**defaults, **given, "options": options.strip(), "client_encoding": "UTF8"}

    def _without_driver(self) -> Exception:
        return self.trouble(self.place, "needs psycopg, which is not installed: run pip install 'duey[postgres]'")

    def _lock_writers(self, database: peewee.Database) -> None:
        database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (self._lock_key,))

    def _migrate(self, database: peewee.Database) -> None:
        database.execute_sql("SET LOCAL statement_timeout = 0")
        database.execute_sql(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_S}s'")
        self._lock_writers(database)
        there = database.execute_sql("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema_name,))
        if there.fetchone() is None:  # IF NOT EXISTS would need the right although there is nothing to make
            database.execute_sql(f'CREATE SCHEMA "{self.schema_name}"')
        super()._migrate(database)

    def _foreign(self, tables: str) -> str:
        return f"holds other tables ({tables}): add ?schema=NAME with another name to {self.setting}"

    def _before_migration(self, version: int) -> None:
        logger.warning("%s: migrating schema %d to %d", self.place, version, len(self._migrations))

    def _forget(self) -> None:
        opened = self._of_process.get(os.getpid())
        super()._forget()
        if opened is not None:
            opened.database.close_idle()  # type: ignore[attr-defined]

    def _drop(self, database: Any) -> None:
        if not database.in_transaction():
            with suppress(Exception):
                database.manual_close()

    def _is_of_values(self, error: BaseException) -> bool:
        code = self.sqlstate(error) or ""
        # Of the class "syntax error or access rule violation" these are no mistake in a statement of ours. The class
        # "program limit exceeded", such as a text that no index can hold, is not of the kinds `of_values`.
        is_ours = code not in ("42501", "42P01", "42703", "3F000")
        return code.startswith("54") or (super()._is_of_values(error) and is_ours)

    def sqlstate(self, error: BaseException) -> str | None:
        """The code of the failure, None if it is not one within a connection."""
        return getattr(self._first(error), "sqlstate", None)

    def _named_error(self, error: BaseException) -> Exception:
        return self.trouble(self.place, self._reason(self.sqlstate(error), str(self._first(error))))

    def _reason(self, code: str | None, text: str) -> str:
        place = Place(self.setting, self._name, self._user, self.schema_name, self._busy_timeout_s)
        return reason(code, text, place)

    def _first(self, error: BaseException) -> BaseException:
        """The failure that began it: where the connection is gone, the rollback that follows fails too."""
        ours: tuple[type[BaseException], ...] = (*self.failures, OSError, self.trouble)
        while isinstance(before := error.__context__, ours):
            error = before
        return error
