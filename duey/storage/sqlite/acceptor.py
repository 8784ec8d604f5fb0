"""Stores the jobs of one group commit, by one statement if that is possible, and wakes workers after the commit.

One transaction stores all jobs or none. After it, one sleeping worker is woken for each new job, before any of the
callers gets its answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from duey import faults
from duey.storage.sqlite import at_once, enqueue
from duey.storage.sqlite.database import Database
from duey.storage.wakeup import Notifier


class Acceptor:
    """Accepts jobs for one file. `replace(connection, old_id, new_id)` ends a waiting job in favour of another one."""

    def __init__(
        self, db: Database, notifier: Notifier, replace: Callable[[sqlite3.Connection, str, str], bool]
    ) -> None:
        self._db, self._notifier, self._replace = db, notifier, replace

    def accept(self, requests: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answer to each request (jobs, idempotency, max_pending), or the exception that refuses it."""
        queues = [job.queue for jobs, _, _ in requests for job in jobs]
        # A kill point of a test lies between two steps, so there must be steps.
        answers = None if faults.point else at_once.accept(partial(self._db.write_at_once, "accept"), requests)
        if answers is None:
            with self._db.write("accept", "enqueue") as con:
                answers = enqueue.accept_all(con, partial(self._replace, con), requests)
            queues = list(enqueue.fresh_queues(requests, answers))
        self._notifier.notify_for(queues)
        return answers
