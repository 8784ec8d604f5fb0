"""Copies accounts, sessions, tokens and the audit log from a SQLite file to a PostgreSQL server that has none yet.

It is one transaction at the server, which holds the lock of writers of both: a process that dies leaves the server
without any, and the file keeps what it holds. All ids stay, because idempotency keys refer to them, and none is used
again. Attempts to log in are not copied: they count for minutes. Nor is the key of second factors.
"""

from __future__ import annotations

import itertools
from typing import Any

from peewee import Table, fn

from duey.monitor.access.database import File, Server
from duey.monitor.access.errors import AccessUnavailable
from duey.monitor.access.schema import ACCOUNTS, AUDIT, RECOVERY_CODES, SECOND_FACTORS, SECRETS, SESSIONS, TOKENS

NUMBERED = (ACCOUNTS, SESSIONS, TOKENS, AUDIT, RECOVERY_CODES)  # those that have ids
TABLES = (ACCOUNTS, SESSIONS, TOKENS, AUDIT, SECOND_FACTORS, RECOVERY_CODES, SECRETS)  # after what they refer to
ROWS = 500  # in one statement


def copy_all(source: File, target: Server) -> dict[str, int]:
    """Return the number of rows by table. Raises AccessUnavailable, also where the server has accounts or tokens."""
    with source.writing() as old, target.writing() as new:
        if ACCOUNTS.select().exists(new) or TOKENS.select().exists(new):
            found = "has accounts or tokens already, so nothing was copied: name another one, or go on with these"
            raise AccessUnavailable(target.place, found)
        SECRETS.delete().execute(new)  # a process that looked at it has made one
        copied = {table.__name__: _copy(table, old, new) for table in TABLES}
        for table in NUMBERED:
            if last := _last_id(table, old):
                new.execute_sql("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (table.__name__, last))
    return copied


def _copy(table: Table, old: Any, new: Any) -> int:
    rows, count = table.select().dicts().iterator(old), 0
    while batch := [_storable(table, row) for row in itertools.islice(rows, ROWS)]:
        table.insert(batch).execute(new)
        count += len(batch)
    return count


def _storable(table: Table, row: dict[str, Any]) -> dict[Any, Any]:
    """A row of before texts were made storable in both: PostgreSQL refuses NUL."""
    return {
        getattr(table.c, name): value.replace("\0", "?") if isinstance(value, str) else value
        for name, value in row.items()
    }


def _last_id(table: Table, old: Any) -> int:
    """The highest id that was ever given, also to a row that is gone."""
    ever = old.execute_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.__name__,)).fetchone()
    return int(ever[0] if ever else table.select(fn.MAX(table.c.id)).scalar(old) or 0)
