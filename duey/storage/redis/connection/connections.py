"""The connections of one process to the server, or to the present primary of several.

They are made on first use, once for each process; a forked child never uses connections of its parent. If the URL names
several servers or Sentinels, the primary is looked for anew when a connection is lost, when a server answers that it
has become a replica, and every second: after a failover of Sentinels the former primary takes writes for some seconds,
and loses them.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.connection import ConnectionPool

from duey import errors
from duey.storage.redis.connection import address
from duey.storage.redis.connection.failures import RedisAway
from duey.storage.redis.connection.primary import Primary

logger = logging.getLogger("duey.redis")
ANSWER_S = 10.0  # longest wait for an answer
LOOK_S = 1.0  # how often it is looked whether another server is the primary now
FRESH_S = 0.1  # one that was idle for less is used without looking whether the server has closed it


class Connections:
    """`on_leave` is called when another server may be used from now on."""

    def __init__(self, url: str, on_leave: Callable[[], None]) -> None:
        self.url, self._on_leave = url, on_leave
        self.idle: list[tuple[Any, float]] = []  # those that were used last, and until when they are fresh
        self.lock = threading.RLock()
        self.look_at = math.inf  # monotonic
        self.was_open = False  # whether the keys were open once
        self._pool: ConnectionPool | None = None
        self._pid = 0
        self._primary: Primary | None = None

    @property
    def pool(self) -> ConnectionPool:
        """Raises Misconfigured for an invalid URL, RedisAway if none of several servers is the primary."""
        pool = self._pool
        return pool if pool is not None and self._pid == os.getpid() else self._make_pool()

    def _make_pool(self) -> ConnectionPool:
        if self._pid != os.getpid():
            self._pid, self._pool, self.idle, self._primary = os.getpid(), None, [], None
            self.lock = threading.RLock()  # a thread of the parent may have held the other one
        with self.lock:
            if self._pool is None:
                found = address.parse(self.url)
                self._pool = address.make_pool(self._url_of_primary(found) if found.places else self.url, ANSWER_S)
            return self._pool

    @property
    def follow(self) -> bool:
        """Whether another server may become the primary."""
        return self._primary is not None

    def _url_of_primary(self, found: address.Address) -> str:
        if self._primary is None:
            address.make_pool(found.at(found.places[0]), ANSWER_S)  # it refuses what is wrong with the options
            self._primary = Primary(found)
        before = self._primary.place
        with self.checking():
            place = self._primary.find()
            self._primary.check(place)
        if before not in (None, place):
            names = address.shown_place(place), address.shown_place(before)
            logger.warning("the primary is Redis at %s now, it was %s", *names)
        self.look_at = time.monotonic() + LOOK_S
        return found.at(place)

    @contextmanager
    def checking(self) -> Iterator[None]:
        """What is wrong with the settings of a new primary stops no process that runs: it may be changed there."""
        try:
            yield
        except errors.Misconfigured as exc:
            if not self.was_open:
                raise
            raise RedisAway(str(exc)) from None

    @property
    def address(self) -> str:
        """The address of the server, without user and password."""
        if self._pool is None and (found := address.parse(self.url)).places:
            return found.shown
        return address.shown(self.pool)

    def look(self) -> None:
        """Leave the server if another one is the primary now."""
        pool, primary = self._pool, self._primary
        if pool is None or primary is None:
            return
        self.look_at = time.monotonic() + LOOK_S  # first, so that no other thread asks too
        with suppress(errors.DueyError):
            if primary.has_moved():
                self.leave(pool)

    def leave(self, pool: ConnectionPool) -> None:
        """Look for the primary before the next command."""
        with self.lock:
            if pool is self._pool and self._primary is not None:
                self._disconnect(pool)
                self._pool = None
                self._on_leave()

    def lost(self, pool: ConnectionPool) -> None:
        """A connection is lost: others may be closed too."""
        self._return_idle(pool)
        self.leave(pool)

    def close(self) -> None:
        if self._pool is not None and self._pid == os.getpid():
            self._disconnect(self._pool)
        if self._primary is not None:
            self._primary.close()
        self._pool = None

    def borrow(self, pool: ConnectionPool) -> tuple[Any, bool]:
        """A connection, and whether it is fresh. The pool locks, and looks at each whether it was closed, which costs
        twice as much as a small command: so those that are in use all the time bypass it."""
        try:
            connection, fresh_until = self.idle.pop()
        except IndexError:
            pass
        else:
            if time.monotonic() < fresh_until:
                return connection, True
            pool.release(connection)
        return pool.get_connection(), False

    def put_back(self, pool: ConnectionPool, connection: Any, usable: bool) -> None:
        """`usable`: it has answered all that it was asked."""
        if usable and pool is self._pool:
            self.idle.append((connection, time.monotonic() + FRESH_S))
        else:  # or all were closed in the meantime
            connection.disconnect()
            pool.release(connection)

    def _disconnect(self, pool: ConnectionPool) -> None:
        self._return_idle(pool)
        pool.disconnect(inuse_connections=False)  # the others are closed when their threads give them back

    def _return_idle(self, pool: ConnectionPool) -> None:
        with suppress(IndexError):
            while True:
                pool.release(self.idle.pop()[0])
