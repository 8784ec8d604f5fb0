"""Accepts a few plain jobs by one statement, which is a transaction of its own.

Plain means without a unique key and without `max_pending`. Up to MOST such jobs, of one or several callers, are
inserted as rows into a temporary view of the connection. Its triggers store each job, its place, its event, and the
idempotency key that came with it. If an id or a key is known already, nothing is stored, and
duey.storage.sqlite.enqueue handles each request separately.

Reason: in each call of SQLite Python releases the interpreter lock and then has to get it back from other threads.
Begin, three inserts and commit are five such calls, this is one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from duey import clock
from duey.model import event
from duey.model.job import NewJob
from duey.storage.contract import EnqueuedJob, EnqueueResult

MOST = 16  # jobs; each number of rows needs a statement of its own, which the connection keeps prepared
JOB = ", ".join(NewJob._fields)  # each is a column
KEY = "token, key, fingerprint, ids, at"
COLUMNS = (*NewJob._fields, "due_at", *(f"key_{name}" for name in KEY.split(", ")))
NO_KEY = (None,) * len(KEY.split(", "))

STORE = f"insert into jobs ({JOB}) values ({', '.join(f'new.{name}' for name in NewJob._fields)});"
TELL = f"""insert into events (job, kind, token, at, attempt)
    values (last_insert_rowid(), '{event.ENQUEUED}', 0, new.enqueued_at, 0);"""
TRIGGER = "create temp trigger {} instead of insert on accepting when {} begin {} end"
ON_THE_CONNECTION = (
    f"create temp view accepting ({', '.join(COLUMNS)}) as select {', '.join(['null'] * len(COLUMNS))}",
    # `last_insert_rowid()` is local to a trigger: hence one complete trigger for each place.
    TRIGGER.format(
        "accepting_now",
        "new.due_at is null",
        f"{STORE} insert into ready values (new.queue, -new.priority, last_insert_rowid()); {TELL}",
    ),
    TRIGGER.format(
        "accepting_later",
        "new.due_at is not null",
        f"{STORE} insert into due values (new.due_at, last_insert_rowid()); {TELL}",
    ),
    TRIGGER.format(
        "accepting_key",
        "new.key_token is not null",
        f"insert into idempotency ({KEY}) values ({', '.join(f'new.key_{name}' for name in KEY.split(', '))});",
    ),
)


def prepare(con: sqlite3.Connection) -> None:
    """Create the temporary view and triggers. They exist only in this connection, not in the file."""
    for statement in ON_THE_CONNECTION:
        con.execute(statement)


def accept(insert: Callable[[str, Sequence[Any]], bool], requests: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """Store all requests (jobs, idempotency, max_pending) by one call of `insert` and return the answer to each.

    Returns None, and stores nothing, if one of them is not plain, conflicts with a row, or has a value that SQLite
    refuses.
    """
    values: list[Any] = []
    count, now = 0, clock.now()
    for jobs, idempotency, max_pending in requests:
        count += len(jobs)
        if not jobs or max_pending or count > MOST:
            return None
        key = NO_KEY if idempotency is None else (*idempotency, json.dumps([job.id for job in jobs]), now)
        for job in jobs:
            if job.unique_key is not None or job.eta != job.eta:  # NaN has no place in an order
                return None
            values += job
            values.append(None if job.eta is None or job.eta <= now else job.eta)
            values += key
            key = NO_KEY
    # Created before the insert: code that runs after a sync finds cold caches and takes several times as long.
    answers: list[Any] = [
        EnqueueResult(tuple([EnqueuedJob(job.id, True) for job in jobs]), False) for jobs, _, _ in requests
    ]
    return answers if insert(statement(count), values) else None


@lru_cache(maxsize=MOST)
def statement(rows: int) -> str:
    """The insert statement for so many jobs."""
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"insert into accepting values {', '.join([row] * rows)}"
