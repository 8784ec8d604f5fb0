"""Stores new jobs by one script: all jobs of a call, or none.

The ids of the jobs make sending idempotent. If the connection breaks, the same jobs are sent again for RETRY_S, and
jobs that an earlier attempt has stored are recognized by their bytes; so they are if too few replicas have them, and
another server may be the primary by now. Only after that the caller gets an error, which
says that the jobs may be stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from duey import clock, errors, faults
from duey.model.job import Idempotency, JobRecord
from duey.model.outcome import Ttl
from duey.storage.redis import codec, commands
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.failures import RedisAway
from duey.storage.redis.keys import idempotency_key
from duey.storage.values import KEY_LIFE_S, End, EnqueuedJob, EnqueueResult

RETRY_S = 2.0  # how long a lost connection is hidden from the caller
PAUSE_S = (0.02, 0.25)
KEPT_S = int(KEY_LIFE_S) + 3600  # longer, because the clocks of the hosts and of Redis may differ


def enqueue_jobs(
    server: Server, jobs: Sequence[JobRecord], idempotency: Idempotency | None, max_pending: int,
    ends: Sequence[End], ttl: Ttl,
) -> EnqueueResult:  # fmt: skip
    """Store all jobs, or none. Raises DuplicateJob, KeyReused, TooManyPending, UniqueConflict and StorageUnavailable,
    whose `stored` is None if the jobs may be stored."""
    if faults.point:
        faults.point("enqueue.begun")
    now = clock.now()
    is_plain = jobs and not (idempotency or max_pending or ends or any(job.unique_key is not None for job in jobs))
    one = codec.plain_words(jobs[0]) if is_plain and len(jobs) == 1 else None
    words = codec.jobs_words(jobs, now) if one is None else []

    def send_plain() -> Any:
        if one is not None:
            return server.run_short("enqueue_plain", codec.PLAIN_WORDS, one)
        return server.run("enqueue_plain", *words, durable=True)

    def send_full(again: bool) -> Any:
        key, former, fingerprint = "", "", ""
        if idempotency:
            key, fingerprint = idempotency_key(idempotency.token, idempotency.key), idempotency.fingerprint
            former = idempotency.former and idempotency_key(idempotency.former, idempotency.key)
        return server.run(
            "enqueue_jobs", now, int(again), max_pending, key, former, fingerprint, now - KEY_LIFE_S, KEPT_S,
            *(words or codec.jobs_words(jobs, now)), *end_words(server, ends, ttl), durable=True,
        )  # fmt: skip

    if faults.point:
        faults.point("enqueue.written")
    answer = send(send_plain if is_plain else None, send_full)
    if answer is None:
        return EnqueueResult(tuple([EnqueuedJob(job.id, True) for job in jobs]))
    kind = answer[0]
    if kind == b"ok":
        return EnqueueResult(accepted(jobs, answer[1], answer[2:]))
    if kind == b"replace":
        return EnqueueResult((), must_end=tuple(each.decode() for each in answer[1:]))
    if kind == b"replayed":
        return EnqueueResult(tuple(EnqueuedJob(each.decode(), False) for each in answer[1:]), True)
    if kind == b"reused" and idempotency:
        raise errors.KeyReused(idempotency.key)
    if kind == b"pending":
        raise errors.TooManyPending(max_pending)
    if kind == b"refused":
        raise errors.UniqueConflict(answer[1].decode(), answer[2].decode())
    raise errors.DuplicateJob(answer[1].decode(), answer[2].decode())


def end_words(server: Server, ends: Sequence[End], ttl: Ttl) -> codec.Words:
    """The last arguments of enqueue_jobs.lua: how waiting jobs end that new ones replace."""
    words: codec.Words = [len(ends)]
    for seen, outcome in ends:
        words += (seen.job.id, *seen.version, *commands.end_words(server, outcome, ttl))
    return words


def send(plain: Callable[[], Any] | None, full: Callable[[bool], Any]) -> list[Any] | None:
    """Send until there is an answer, or RETRY_S is over: to enqueue_plain.lua if the jobs are plain, and to
    enqueue_jobs.lua if they are not, if it stored nothing, or if they may have been stored. Returns the answer of
    the latter, or None if the former has stored all jobs."""
    deadline, pause_s, maybe = time.monotonic() + RETRY_S, PAUSE_S[0], False
    while True:
        try:
            answer = None
            if plain is None or maybe or not plain():
                answer = full(maybe)
            if faults.point:
                faults.point("enqueue.committed")
            return answer
        except (RedisAway, errors.StorageBusy) as exc:  # busy: it loads its data after a restart
            maybe = maybe or exc.stored is None
            if time.monotonic() + pause_s >= deadline:
                exc.stored = None if maybe else False
                raise
        except errors.StorageUnavailable as exc:
            exc.stored = None if maybe else exc.stored
            raise
        time.sleep(pause_s)
        pause_s = min(PAUSE_S[1], pause_s * 2)


def accepted(jobs: Sequence[JobRecord], letters: bytes, holders: Sequence[bytes]) -> tuple[EnqueuedJob, ...]:
    """The answer for each job, from the letters of enqueue_jobs.lua."""
    held_by = iter(holders)
    return tuple(
        EnqueuedJob(next(held_by).decode(), False) if letter == "h" else EnqueuedJob(job.id, letter == "1")
        for job, letter in zip(jobs, letters.decode(), strict=True)
    )
