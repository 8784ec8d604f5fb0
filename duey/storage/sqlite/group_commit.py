"""Group commit: the jobs that several threads enqueue at the same time are synced to the disk once.

One transaction stores all jobs of a commit or none. After it, one sleeping worker is woken for each new job, before any
of the callers gets its answer.

Up to MOST plain jobs (no unique key, no `max_pending`), of one or several callers, are inserted as rows into a
temporary view of the connection, whose triggers put each job into the inbox (duey.storage.sqlite.steps.inbox), and the
idempotency key that came with it into its table. If an id or a key is known already, nothing is stored, and
duey.storage.sqlite.enqueue handles each request separately. Reason: in each call of SQLite Python releases the
interpreter lock and then has to get it back from other threads. Begin, several inserts and commit are five such calls
or more, this is one.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from duey import clock, errors, faults
from duey.model.job import STATED, JobRecord
from duey.model.outcome import Ttl
from duey.storage.sqlite import enqueue
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.steps import inbox
from duey.storage.values import EnqueuedJob, EnqueueResult
from duey.storage.wakeup import Notifier


class PendingCommit:
    """The request of one caller, and its answer."""

    __slots__ = ("answer", "error", "request", "served")

    def __init__(self, request: Any) -> None:
        self.request = request
        self.answer: Any = None
        self.error: Exception | None = None
        self.served = False


class GroupCommit:
    """Combines the requests of several threads into one commit.

    The first thread commits its own request at once. Requests that arrive while it waits for the disk are collected,
    and the next thread commits all of them. Each caller gets its own answer, or its own error.
    """

    def __init__(self, commit: Callable[[Sequence[Any]], list[Any]]) -> None:
        self._commit = commit
        self._fresh()

    def _fresh(self) -> None:
        self._queue: deque[PendingCommit] = deque()
        self._commit_lock = threading.Lock()
        self._pid = os.getpid()

    def submit(self, request: Any) -> Any:
        """Commit one request, possibly together with others, and return its answer or raise its error."""
        if self._pid != os.getpid():  # forked: a thread of the parent may have held the lock at that moment
            self._fresh()
        if not self._commit_lock.locked():  # nobody to share a commit with
            with self._commit_lock:
                answer = self._commit((request,))[0]
            if isinstance(answer, Exception):
                raise answer
            return answer
        pending = PendingCommit(request)
        self._queue.append(pending)
        with self._commit_lock:
            while not pending.served:
                # If the request is neither answered nor queued, a time-out interrupted the thread that had it.
                # Committing it again is harmless: a job is stored once.
                self._serve([self._queue.popleft() for _ in range(min(len(self._queue), 256))] or [pending])
        if pending.error:
            raise pending.error
        return pending.answer

    def _serve(self, batch: list[PendingCommit]) -> None:
        try:
            answers = self._commit([t.request for t in batch])
        except errors.DueyError as exc:
            answers = [exc] * len(batch)
        for pending, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                pending.error = answer
            else:
                pending.answer = answer
            pending.served = True


class EnqueueCommit:
    """Accepts jobs for one file."""

    def __init__(self, db: Database, notifier: Notifier, ttl: Ttl) -> None:
        self._db, self._notifier, self._ttl = db, notifier, ttl
        self._in_the_inbox = 0  # at most

    def commit(self, requests: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answer to each request (jobs, idempotency, max_pending, ends), or the exception that refuses it."""
        answers = None
        # A kill point of a test lies between two steps, so there must be steps.
        if self._in_the_inbox < inbox.MOST and not faults.point:
            answers = enqueue_at_once(self._db.write_at_once, requests)
        if answers is None:
            with self._db.write("synced", "enqueue") as con:
                answers = enqueue.enqueue_all(con, self._ttl, requests)
            self._in_the_inbox = 0
            self._notifier.notify_for(tuple(enqueue.fresh_queues(requests, answers)))
        else:
            queues = tuple([job.queue for jobs, *_ in requests for job in jobs])
            self._in_the_inbox += len(queues)
            self._notifier.notify_for(queues)
        return answers


MOST = 16  # jobs; each number of rows needs a statement of its own, which the connection keeps prepared
KEY = "token, key, fingerprint, ids, at"
COLUMNS = (*JobRecord._fields[:STATED], *(f"key_{name}" for name in KEY.split(", ")), "key_former")
NO_KEY = (None,) * (len(KEY.split(", ")) + 1)
NONE_MISSING = (False,) * len(COLUMNS)
PAYLOAD = COLUMNS.index("payload")

ON_THE_CONNECTION = (
    f"create temp view new_jobs ({', '.join(COLUMNS)}) as select {', '.join(['null'] * len(COLUMNS))}",
    f"create temp trigger new_jobs_accept instead of insert on new_jobs begin {inbox.ACCEPT} end",
    f"""create temp trigger new_jobs_key instead of insert on new_jobs when new.key_token is not null begin
        select raise(abort, 'known') from idempotency where token = new.key_former and key = new.key_key;
        insert into idempotency ({KEY}) values ({", ".join(f"new.key_{name}" for name in KEY.split(", "))}); end""",
)


def prepare_connection(con: sqlite3.Connection) -> None:
    """Create the temporary view and triggers. They exist only in this connection, not in the file."""
    for statement in ON_THE_CONNECTION:
        con.execute(statement)


def enqueue_at_once(
    insert: Callable[[str, Sequence[Any]], bool], requests: Sequence[tuple[Any, ...]]
) -> list[Any] | None:
    """Store all requests (jobs, idempotency, max_pending, ends) by one call of `insert` and return the answer to each.

    Returns None, and stores nothing, if one of them is not plain, conflicts with a row, or has a value that SQLite
    refuses.
    """
    if len(requests) == 1 and len(requests[0][0]) == 1:
        jobs, idempotency, max_pending, _ = requests[0]
        job = jobs[0]
        if idempotency is None and not max_pending and job.count(None) == MOSTLY_NULL and job.sequel is not None:
            answer = [EnqueueResult((EnqueuedJob(job.id, True),))]
            return answer if insert(PLAIN, [*PLAIN_VALUES(job), bytearray(job.payload)]) else None
    rows: list[list[Any]] = []
    count, now = 0, clock.now()
    for jobs, idempotency, max_pending, _ in requests:
        count += len(jobs)
        if not jobs or max_pending or count > MOST:
            return None
        key = (
            NO_KEY
            if idempotency is None
            else (*idempotency[:3], json.dumps([job.id for job in jobs]), now, idempotency.former)
        )
        for job in jobs:
            if job.unique_key is not None or job.eta != job.eta:  # NaN has no place in an order
                return None
            row = [*job[:STATED], *key]
            row[PAYLOAD] = bytearray(job.payload)
            rows.append(row)
            key = NO_KEY
    # Python asks its adapters about each None and each bytes object, which takes a third of the whole insert: so a
    # column that is null in each row is left out.
    shapes = {tuple([value is None for value in row]) for row in rows}
    if len(shapes) == 1:
        (missing,) = shapes
        values = [value for row in rows for value in row if value is not None]
    else:
        missing, values = NONE_MISSING, [value for row in rows for value in row]
    # Created before the insert: code that runs after a sync finds cold caches and takes several times as long.
    answers: list[Any] = [EnqueueResult(tuple([EnqueuedJob(job.id, True) for job in jobs])) for jobs, *_ in requests]
    return answers if insert(insert_statement(count, missing), values) else None


# The columns that each job has. Most jobs have no others, so there is one statement for them.
ALWAYS = ("id", "task", "queue", "priority", "enqueued_at", "retries", "retry_delay_s", "flags", "sequel", "payload")
PLAIN = f"insert into new_jobs ({', '.join(ALWAYS)}) values ({', '.join('?' * len(ALWAYS))})"
PLAIN_VALUES = itemgetter(*map(JobRecord._fields.index, ALWAYS[:-1]))
MOSTLY_NULL = len(JobRecord._fields[:STATED]) - len(ALWAYS) + 1  # and failed_at


@lru_cache(maxsize=64)
def insert_statement(rows: int, missing: tuple[bool, ...]) -> str:
    """The insert statement for so many jobs, without the columns that are missing."""
    names = [name for name, left_out in zip(COLUMNS, missing, strict=True) if not left_out]
    row = f"({', '.join('?' * len(names))})"
    return f"insert into new_jobs ({', '.join(names)}) values {', '.join([row] * rows)}"
