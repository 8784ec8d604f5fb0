"""A lock on a PostgreSQL server that one process holds at a time, over all hosts.

It belongs to a connection of its own, and the server releases it when that ends: at once when the process ends, and
some 20 s after its host was lost, by the keepalives of the server. No clock is involved, and no process or host is
named, so that those of another host are never taken for one's own. Behind a pooler it would not hold, which is why the
database refuses one.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from duey.monitor.postgres_database import PostgresDatabase, lock_key

if TYPE_CHECKING:
    import psycopg

SESSION = (
    "SET idle_session_timeout = 0",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 2",
)


class SessionLock:
    """The lock `name` of a database. Call `take` and `release` in one thread only."""

    def __init__(self, database: PostgresDatabase, name: str) -> None:
        self._database = database
        self._key = lock_key(f"duey {database.schema_name} {name}")
        self._connection: psycopg.Connection[Any] | None = None
        self._is_held = False
        _locks.add(self)

    def take(self) -> bool:
        """Take the lock, or look whether the connection that holds it still stands. Return False if another process
        holds it. Raises the named errors of the database."""
        try:
            with self._database.named_errors():
                return self._taken()
        except BaseException:
            self.release()
            raise

    def _taken(self) -> bool:
        if self._connection is None:
            self._connection = self._database.connect_alone()
            for statement in SESSION:
                self._connection.execute(statement)
        if self._is_held:
            self._connection.execute("SELECT 1")
        else:
            row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()
            self._is_held = bool(row and row[0])
        return self._is_held

    def release(self) -> None:
        """Release the lock, if it is held, and end its connection."""
        connection, held = self._connection, self._is_held
        self._connection, self._is_held = None, False
        if connection is not None:
            with suppress(Exception):
                if held:  # the server may take a moment to notice that the connection ended
                    connection.execute("SELECT pg_advisory_unlock(%s)", (self._key,))
            with suppress(Exception):
                connection.close()

    def leave_to_parent(self) -> None:
        """In a forked child: close the socket without a word to the server. Otherwise the child would keep the lock
        after its parent has died."""
        connection, self._connection, self._is_held = self._connection, None, False
        if connection is not None:
            with suppress(Exception):
                os.close(connection.fileno())


_locks: weakref.WeakSet[SessionLock] = weakref.WeakSet()


def _leave_all() -> None:
    for lock in list(_locks):
        lock.leave_to_parent()


os.register_at_fork(after_in_child=_leave_all)
