"""Stores new jobs, in one transaction.

It holds the idempotency key, and for each job its row, its place (ready or due), its unique key and its `enqueued`
event. If the process dies before the commit, nothing was accepted. After it everything was, and it is synced with
`durability = full`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from duey import clock, errors
from duey.model.job import REFUSES, REPLACES, Idempotency, JobRecord
from duey.model.outcome import Ttl
from duey.storage.sqlite import commands, queries
from duey.storage.sqlite.connection.preflight import is_mistake
from duey.storage.sqlite.steps.insert import insert, insert_many, insert_plain
from duey.storage.sqlite.steps.policies import MustEndError, holder
from duey.storage.values import KEY_LIFE_S, End, EnqueuedJob, EnqueueResult


def enqueue_all(con: sqlite3.Connection, ttl: Ttl, requests: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Store all requests in one transaction. If one is refused, only that one is rolled back; its answer is the
    error."""
    if len(requests) == 1:
        return [enqueue_jobs(con, ttl, *requests[0])]
    together = enqueue_together(con, requests)
    if together:
        return together
    answers: list[Any] = []
    for request in requests:
        con.execute("savepoint one")
        try:
            answers.append(enqueue_jobs(con, ttl, *request))
        except Exception as exc:
            if not is_mistake(exc):
                raise
            con.execute("rollback to one")
            answers.append(exc)
        con.execute("release one")
    return answers


def enqueue_together(con: sqlite3.Connection, requests: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """Store plain requests at a fraction of the cost. None, and nothing is stored, if one of them is not plain."""
    if any(idempotency or max_pending for _, idempotency, max_pending, _ in requests):
        return None
    accepted = insert_plain(con, [job for jobs, *_ in requests for job in jobs])
    if accepted is None:
        return None
    rest = iter(accepted)
    return [EnqueueResult(tuple(islice(rest, len(jobs)))) for jobs, *_ in requests]


def fresh_queues(requests: Sequence[tuple[Any, ...]], answers: Sequence[Any]) -> Iterator[str]:
    """The queue of each job that was stored."""
    for (jobs, *_), answer in zip(requests, answers, strict=True):
        if isinstance(answer, EnqueueResult) and not answer.replayed:
            yield from (job.queue for job, a in zip(jobs, answer.accepted, strict=True) if a.fresh)


def enqueue_jobs(
    con: sqlite3.Connection, ttl: Ttl, jobs: Sequence[JobRecord], idempotency: Idempotency | None, max_pending: int,
    ends: Sequence[End],
) -> EnqueueResult:  # fmt: skip
    """Store all jobs inside the caller's transaction. Raises MustEndError if they replace others than `ends`."""
    if idempotency:
        before = replay(con, idempotency)
        if before:
            return before
    if max_pending and waiting(con, max_pending) + len(jobs) > max_pending:
        raise errors.TooManyPending(max_pending)
    if any(job.unique_key is not None for job in jobs):
        accepted = insert_unique(con, jobs, ends, ttl)
    else:
        accepted = tuple(insert(con, job) for job in jobs) if len(jobs) < 8 else insert_many(con, jobs)
    if idempotency:
        con.execute(
            "insert or replace into idempotency values (?, ?, ?, ?, ?)",
            (*idempotency[:3], json.dumps([a.id for a in accepted]), clock.now()),
        )
    return EnqueueResult(accepted)


def waiting(con: sqlite3.Connection, at_most: int) -> int:
    """How many jobs wait. Counting stops at `at_most` for each place."""
    return con.execute(
        "select (select count(*) from (select 1 from ready limit :n)) + (select count(*) from (select 1 from scheduled "
        "limit :n)) + (select count(*) from (select 1 from blocked limit :n))",
        {"n": at_most},
    ).fetchone()[0]


def replay(con: sqlite3.Connection, idempotency: Idempotency) -> EnqueueResult | None:
    """The earlier answer for this idempotency key, if there is one. Raises KeyReused if it came with other jobs."""
    token, key, fingerprint, former = idempotency
    query = "select fingerprint, ids from idempotency where token = ? and key = ? and at > ?"
    row = con.execute(query, (token, key, clock.now() - KEY_LIFE_S)).fetchone()
    if row is not None and row[0] != fingerprint:
        raise errors.KeyReused(key)
    if row is None and former:
        row = con.execute(
            f"{query} and fingerprint = ?", (former, key, clock.now() - KEY_LIFE_S, fingerprint)
        ).fetchone()
    if row is None:
        return None
    return EnqueueResult(tuple(EnqueuedJob(job_id, False) for job_id in json.loads(row[1])), True)


def insert_unique(
    con: sqlite3.Connection, jobs: Sequence[JobRecord], ends: Sequence[End], ttl: Ttl
) -> tuple[EnqueuedJob, ...]:
    """Like `insert` for each job, but the options of the task decide on conflicts. Within one call the first job
    wins."""
    accepted: list[EnqueuedJob] = []
    fresh: set[str] = set()
    known = {end[0].job.id: end for end in ends}
    must_end: list[str] = []
    for job in jobs:
        other = None if job.unique_key is None else holder(con, job.unique_key, job.id)
        if other is not None and job.flags & REFUSES:
            raise errors.UniqueConflict(job.unique_key or "", other)
        if other is not None and job.flags & REPLACES and other not in fresh and not replace(con, other, known, ttl):
            seen = queries.read_job(con, other)
            if seen is not None and seen.waits:
                must_end.append(other)
        answer = insert(con, job)
        if answer.fresh:
            fresh.add(answer.id)
        accepted.append(answer)
    if must_end:
        raise MustEndError(must_end)
    return tuple(accepted)


def replace(con: sqlite3.Connection, job_id: str, ends: Mapping[str, End], ttl: Ttl) -> bool:
    """End a waiting job that a new one replaces, if how it ends is known."""
    end = ends.get(job_id)
    if end is None or commands.end(con, end, ttl) is None:
        return False
    con.execute("delete from unique_locks where key = ?", (end[0].job.unique_key,))
    return True
