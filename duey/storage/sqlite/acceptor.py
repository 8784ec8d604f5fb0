"""Accepts what the gate lets through together: at once where that can be, in steps where it must, and then rings.

Order: one transaction stores all of it, or nothing; after its commit as many sleeping workers are rung as there are new
jobs, for all callers before any of them goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from duey import faults
from duey.storage.sqlite import at_once, enqueue
from duey.storage.sqlite.database import Database
from duey.storage.wakeup import Ringer


class Acceptor:
    """For one file. `replace` ends a waiting job in favour of another: (connection, its id, the other's) to whether."""

    def __init__(self, db: Database, ringer: Ringer, replace: Callable[[sqlite3.Connection, str, str], bool]) -> None:
        self._db, self._ringer, self._replace = db, ringer, replace

    def accept(self, requests: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answer to each request (jobs, idempotency, max_pending), or the error that it is refused with."""
        queues = [job.queue for jobs, _, _ in requests for job in jobs]
        # Where a test has set a kill point, there must be steps between which it lies.
        answers = None if faults.point else at_once.accept(partial(self._db.write_at_once, "accept"), requests)
        if answers is None:
            with self._db.write("accept", "accept") as con:
                answers = enqueue.accept_all(con, partial(self._replace, con), requests)
            queues = list(enqueue.fresh_queues(requests, answers))
        self._ringer.ring_for(queues)
        return answers
