"""Stores new jobs, in one transaction.

It holds the idempotency key, and for each job its row, its place (ready or due), its unique key and its `enqueued`
event. If the process dies before the commit, nothing was accepted. After it everything was, and it is synced with
`durability = full`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from duey import clock, errors
from duey.model import event
from duey.model.job import Idempotency, NewJob
from duey.storage.contract import EnqueuedJob, EnqueueResult
from duey.storage.sqlite.database import is_mistake
from duey.storage.sqlite.policies import Replace, holder, settle_conflict, take
from duey.storage.sqlite.schema import JOB

INSERT = f"insert into jobs ({JOB}) values ({', '.join('?' * len(NewJob._fields))})"
KEY_LIFE_S = 24 * 3600.0


def enqueue_all(con: sqlite3.Connection, replace: Replace, requests: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Store all requests in one transaction. If one is refused, only that one is rolled back; its answer is the
    error."""
    if len(requests) == 1:
        return [enqueue_jobs(con, replace, *requests[0])]
    together = enqueue_together(con, requests)
    if together:
        return together
    answers: list[Any] = []
    for request in requests:
        con.execute("savepoint one")
        try:
            answers.append(enqueue_jobs(con, replace, *request))
        except Exception as exc:
            if not is_mistake(exc):
                raise
            con.execute("rollback to one")
            answers.append(exc)
        con.execute("release one")
    return answers


def enqueue_together(con: sqlite3.Connection, requests: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """Store plain requests at a fraction of the cost. None, and nothing is stored, if one of them is not plain."""
    if any(idempotency or max_pending for _, idempotency, max_pending in requests):
        return None
    accepted = insert_plain(con, [job for jobs, _, _ in requests for job in jobs])
    if accepted is None:
        return None
    rest = iter(accepted)
    return [EnqueueResult(tuple(islice(rest, len(jobs))), False) for jobs, _, _ in requests]


def fresh_queues(requests: Sequence[tuple[Any, ...]], answers: Sequence[Any]) -> Iterator[str]:
    """The queue of each job that was stored."""
    for (jobs, _, _), answer in zip(requests, answers, strict=True):
        if isinstance(answer, EnqueueResult) and not answer.replayed:
            yield from (job.queue for job, a in zip(jobs, answer.accepted, strict=True) if a.fresh)


def enqueue_jobs(
    con: sqlite3.Connection, replace: Replace, jobs: Sequence[NewJob], idempotency: Idempotency | None, max_pending: int
) -> EnqueueResult:
    """Store all jobs inside the caller's transaction. `replace` ends a job in favour of another one."""
    if idempotency:
        before = replay(con, idempotency)
        if before:
            return before
    if max_pending and waiting(con, max_pending) + len(jobs) > max_pending:
        raise errors.TooManyPending(max_pending)
    if any(job.unique_key is not None for job in jobs):
        accepted = insert_unique(con, jobs, replace)
    else:
        accepted = tuple(insert(con, job) for job in jobs) if len(jobs) < 8 else insert_many(con, jobs)
    if idempotency:
        con.execute(
            "insert or replace into idempotency values (?, ?, ?, ?, ?)",
            (*idempotency, json.dumps([a.id for a in accepted]), clock.now()),
        )
    return EnqueueResult(accepted, False)


def waiting(con: sqlite3.Connection, at_most: int) -> int:
    """How many jobs wait. Counting stops at `at_most` for each place."""
    return con.execute(
        "select (select count(*) from (select 1 from ready limit :n)) + (select count(*) from (select 1 from scheduled "
        "limit :n)) + (select count(*) from (select 1 from blocked limit :n))",
        {"n": at_most},
    ).fetchone()[0]


def replay(con: sqlite3.Connection, idempotency: Idempotency) -> EnqueueResult | None:
    """The earlier answer for this idempotency key, if there is one. Raises KeyReused if it came with other jobs."""
    row = con.execute(
        "select fingerprint, ids from idempotency where token = ? and key = ? and at > ?",
        (idempotency.token, idempotency.key, clock.now() - KEY_LIFE_S),
    ).fetchone()
    if row is None:
        return None
    if row[0] != idempotency.fingerprint:
        raise errors.KeyReused(idempotency.key)
    return EnqueueResult(tuple(EnqueuedJob(job_id, False) for job_id in json.loads(row[1])), True)


def insert(con: sqlite3.Connection, job: NewJob) -> EnqueuedJob:
    """Store one job, or find the unfinished job with the same id or unique key. Raises DuplicateJob."""
    if job.unique_key is not None:
        other = holder(con, job.unique_key, job.id)
        if other:
            return EnqueuedJob(other, False)
    try:
        seq = con.execute(INSERT, job).lastrowid
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


def insert_unique(con: sqlite3.Connection, jobs: Sequence[NewJob], replace: Replace) -> tuple[EnqueuedJob, ...]:
    """Like `insert` for each job, but the options of the task decide on conflicts. Within one call the first job
    wins."""
    accepted: list[EnqueuedJob] = []
    fresh: set[str] = set()
    for job in jobs:
        answer = settle_conflict(con, job, fresh, replace) or insert(con, job)
        if answer.fresh:
            fresh.add(answer.id)
        accepted.append(answer)
    return tuple(accepted)


def insert_many(con: sqlite3.Connection, jobs: Sequence[NewJob]) -> tuple[EnqueuedJob, ...]:
    """Like `insert` for each job."""
    return insert_plain(con, jobs) or tuple(insert(con, job) for job in jobs)


def insert_plain(con: sqlite3.Connection, jobs: Sequence[NewJob]) -> tuple[EnqueuedJob, ...] | None:
    """Store jobs that are new and have no unique key, by a few statements in all. None, and nothing is stored, if one
    of them is not: then each has to be inserted separately."""
    if any(job.unique_key is not None for job in jobs):
        return None
    con.execute("savepoint plain")
    try:
        con.executemany(INSERT, jobs)
    except Exception as exc:
        if not is_mistake(exc):
            raise
        con.execute("rollback to plain")
        con.execute("release plain")
        return None
    # AUTOINCREMENT gives consecutive numbers within one transaction, because no other process can write meanwhile.
    which = {"now": clock.now(), "before": con.execute("select last_insert_rowid()").fetchone()[0] - len(jobs)}
    con.execute(
        "insert into ready select queue, -priority, seq from jobs where seq > :before and (eta is null or eta <= :now)",
        which,
    )
    if any(job.eta is not None for job in jobs):
        con.execute("insert into scheduled select eta, seq from jobs where seq > :before and eta > :now", which)
    con.execute(
        "insert into outbox (job, kind, token, at, attempt) select seq, 'enqueued', 0, enqueued_at, 0 from jobs "
        "where seq > :before",
        which,
    )
    con.execute("release plain")
    return tuple(EnqueuedJob(job.id, True) for job in jobs)
