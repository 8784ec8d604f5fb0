"""A few plain jobs, accepted by one statement that is a transaction of its own.

Plain is what has no unique key and is held to no `max_pending`. Up to MOST such jobs, from one caller or from several
who share a commit, are one insert of several rows into a view that only this connection has; its triggers store each
job, put it into its place, write its event, and keep the idempotency key that came with it. If anything is against it
(an id or a key that is known) nothing is stored, and duey.storage.sqlite.enqueue looks at each request by itself.

Why: in each call of SQLite Python lets other threads run, and then has to win its interpreter lock back from them.
Begin, three inserts and commit are five such calls, this is one. And there is no line at which a process could die.
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
from duey.storage.contract import Acceptance, Accepted

MOST = 16  # jobs: each number of rows is a statement of its own, which the connection keeps prepared
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
    # `last_insert_rowid` is that of the trigger in which it stands: hence one trigger for each place.
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
    """What the statement needs, in the connection's own memory: nothing of it is in the file."""
    for statement in ON_THE_CONNECTION:
        con.execute(statement)


def accept(insert: Callable[[str, Sequence[Any]], bool], requests: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """The answer to each request (jobs, idempotency, max_pending), all stored by one call of `insert`. None, and
    nothing is stored, where one of them is not plain, meets what is there, or is no fit for SQLite."""
    values: list[Any] = []
    count, now = 0, clock.now()
    for jobs, idempotency, max_pending in requests:
        count += len(jobs)
        if not jobs or max_pending or count > MOST:
            return None
        key = NO_KEY if idempotency is None else (*idempotency, json.dumps([job.id for job in jobs]), now)
        for job in jobs:
            if job.unique_key is not None or job.eta != job.eta:  # the latter is no number, and stands nowhere
                return None
            values += job
            values.append(None if job.eta is None or job.eta <= now else job.eta)
            values += key
            key = NO_KEY
    # Made before it is known to be true: what runs after a sync finds cold caches, and takes several times as long.
    answers: list[Any] = [Acceptance(tuple([Accepted(job.id, True) for job in jobs]), False) for jobs, _, _ in requests]
    return answers if insert(statement(count), values) else None


@lru_cache(maxsize=MOST)
def statement(rows: int) -> str:
    """The insert of so many jobs."""
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"insert into accepting values {', '.join([row] * rows)}"
