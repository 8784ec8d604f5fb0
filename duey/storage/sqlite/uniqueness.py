"""Unique keys: held by a job until it ends or starts, or for a time. They are changed in the transactions of the
job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from duey import clock, errors
from duey.model.job import FREED_BY_TIME, REFUSES, REPLACES, NewJob
from duey.storage.contract import EnqueuedJob

HOLDER = """select jobs.id from keys join jobs on jobs.seq = keys.seq
    where key = ? and (until is null or until > ?) and jobs.id != ?"""
Replace = Callable[[str, str], bool]  # (id of the holder, id of the new job): whether the holder was ended


def holder(con: sqlite3.Connection, key: str, job_id: str) -> str | None:
    """The id of another job that holds this key now, or None."""
    row = con.execute(HOLDER, (key, clock.now(), job_id)).fetchone()
    return row[0] if row else None


def settle_conflict(con: sqlite3.Connection, job: NewJob, beside: set[str], replace: Replace) -> EnqueuedJob | None:
    """The answer for a job whose key is held; None if the job may be stored. Raises UniqueConflict if its task asks for
    that. `beside`: ids that were stored by the same call, which are never replaced."""
    if job.unique_key is None:
        return None
    other = holder(con, job.unique_key, job.id)
    if other is None:
        return None
    if job.flags & REFUSES:
        raise errors.UniqueConflict(job.unique_key, other)
    if job.flags & REPLACES and other not in beside and replace(other, job.id):
        con.execute("delete from keys where key = ?", (job.unique_key,))
        return None
    return EnqueuedJob(other, False)


def take(con: sqlite3.Connection, key: str, seq: int, hold_s: float | None, flags: int) -> None:
    """Make the job the holder of the key."""
    until = None if hold_s is None else clock.now() + hold_s
    con.execute("insert or replace into keys values (?, ?, ?, ?)", (key, seq, until, bool(flags & FREED_BY_TIME)))


def take_again(con: sqlite3.Connection, seq: int) -> None:
    """Make a job that goes back to the queue the holder of its key again, unless another job holds it by now."""
    row = con.execute("select unique_key, unique_s, flags, id from jobs where seq = ?", (seq,)).fetchone()
    if row[0] is not None and holder(con, row[0], row[3]) is None:
        take(con, row[0], seq, row[1], row[2])
