"""Inserts the rows of new jobs inside the caller's transaction: the job, its place, its unique key, its event."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from duey import clock, errors
from duey.model import event
from duey.model.job import STATED, JobRecord
from duey.storage.sqlite.connection.preflight import is_mistake
from duey.storage.sqlite.connection.schema import JOB
from duey.storage.sqlite.steps import inbox
from duey.storage.sqlite.steps.policies import holder, take
from duey.storage.values import EnqueuedJob

INSERT = f"insert into jobs ({JOB}) values ({', '.join('?' * STATED)})"


def insert(con: sqlite3.Connection, job: JobRecord) -> EnqueuedJob:
    """Store one job, or find the unfinished job with the same id or unique key. Raises DuplicateJob."""
    if job.unique_key is not None:
        other = holder(con, job.unique_key, job.id)
        if other:
            return EnqueuedJob(other, False)
    try:
        seq = con.execute(INSERT, job[:STATED]).lastrowid
    except sqlite3.IntegrityError:
        known = con.execute(
            "select finished.state from jobs left join finished on finished.seq = jobs.seq where id = ?", (job.id,)
        ).fetchone()
        if known is None:
            raise
        if known[0]:
            raise errors.DuplicateJob(job.id, known[0]) from None
        return EnqueuedJob(job.id, False)
    assert seq is not None  # the row id of the insert
    if job.unique_key is not None:
        take(con, job.unique_key, seq, job.unique_s, job.flags)
    if job.eta is None or job.eta <= clock.now():
        con.execute("insert into ready values (?, ?, ?)", (job.queue, -job.priority, seq))
    else:
        con.execute("insert into scheduled values (?, ?)", (job.eta, seq))
    con.execute(
        "insert into outbox (job, kind, token, at, attempt) values (?, ?, 0, ?, 0)",
        (seq, event.ENQUEUED, job.enqueued_at),
    )
    return EnqueuedJob(job.id, True)


def insert_many(con: sqlite3.Connection, jobs: Sequence[JobRecord]) -> tuple[EnqueuedJob, ...]:
    """Like `insert` for each job."""
    return insert_plain(con, jobs) or tuple(insert(con, job) for job in jobs)


def insert_plain(con: sqlite3.Connection, jobs: Sequence[JobRecord]) -> tuple[EnqueuedJob, ...] | None:
    """Store jobs that are new and have no unique key, by a few statements in all. None, and nothing is stored, if one
    of them is not: then each has to be inserted separately."""
    if any(job.unique_key is not None for job in jobs):
        return None
    con.execute("savepoint plain")
    try:
        con.executemany(INSERT, [job[:STATED] for job in jobs])
    except Exception as exc:
        if not is_mistake(exc):
            raise
        con.execute("rollback to plain")
        con.execute("release plain")
        return None
    # AUTOINCREMENT gives consecutive numbers within one transaction, because no other process can write meanwhile.
    last = con.execute("select last_insert_rowid()").fetchone()[0] - len(jobs)
    inbox.place(con, last, any(job.eta is not None for job in jobs))
    con.execute("release plain")
    return tuple(EnqueuedJob(job.id, True) for job in jobs)
