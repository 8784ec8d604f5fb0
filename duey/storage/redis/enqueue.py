"""Stores new jobs by one script: all jobs of a call, or none.

The ids of the jobs make sending idempotent. If the connection breaks, the same jobs are sent again for RETRY_S, and
jobs that an earlier attempt has stored are recognized by their bytes. Only after that the caller gets an error, which
says that the jobs may be stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from duey import clock, errors, faults
from duey.model.job import CANCELED, ENDED, Idempotency, NewJob
from duey.storage.contract import EnqueuedJob, EnqueueResult
from duey.storage.redis import codec, commands, queries
from duey.storage.redis.client import RedisAway, Server
from duey.storage.redis.keys import idempotency_key

RETRY_S = 2.0  # how long a lost connection is hidden from the caller
PAUSE_S = (0.02, 0.25)
KEY_LIFE_S = 24 * 3600.0
KEPT_S = int(KEY_LIFE_S) + 3600  # longer, because the clocks of the hosts and of Redis may differ


def enqueue_jobs(
    server: Server, jobs: Sequence[NewJob], idempotency: Idempotency | None, max_pending: int, compose: Any,
    ttl: codec.Ttl,
) -> EnqueueResult:  # fmt: skip
    """Store all jobs, or none. Raises DuplicateJob, KeyReused, TooManyPending, UniqueConflict and StorageUnavailable,
    whose `stored` is None if the jobs may be stored. `compose` creates the ends of waiting jobs that are replaced."""
    if faults.point:
        faults.point("enqueue.begun")
    now = clock.now()
    key, fingerprint = "", ""
    if idempotency:
        key, fingerprint = idempotency_key(idempotency.token, idempotency.key), idempotency.fingerprint
    words: codec.Words = [max_pending, key, fingerprint, now - KEY_LIFE_S, KEPT_S, len(jobs)]
    for job in jobs:
        codec.job_words(words, job, now)
    if faults.point:
        faults.point("enqueue.written")
    ends = Ends(server, compose, ttl)
    answer = send(server, now, [*words, 0])
    while answer[0] == b"replace":
        answer = send(server, now, [*words, *ends.words(answer[1:], jobs)])
    kind = answer[0]
    if kind == b"ok":
        return EnqueueResult(accepted(jobs, answer[1], answer[2:]), False)
    if kind == b"replayed":
        return EnqueueResult(tuple(EnqueuedJob(each.decode(), False) for each in answer[1:]), True)
    if kind == b"reused" and idempotency:
        raise errors.KeyReused(idempotency.key)
    if kind == b"pending":
        raise errors.TooManyPending(max_pending)
    if kind == b"refused":
        raise errors.UniqueConflict(answer[1].decode(), answer[2].decode())
    raise errors.DuplicateJob(answer[1].decode(), answer[2].decode())


class Ends:
    """Creates the ends of waiting jobs that new ones replace. Only Python can do that."""

    def __init__(self, server: Server, compose: Any, ttl: codec.Ttl) -> None:
        self._server, self._compose, self._ttl = server, compose, ttl

    def words(self, ids: Sequence[bytes], jobs: Sequence[NewJob]) -> codec.Words:
        """The last arguments of enqueue_jobs.lua. Jobs that have changed meanwhile are left out."""
        words: codec.Words = []
        count = 0
        for job_id in ids:
            seen = queries.get_job(self._server, job_id.decode())
            if seen is None or seen.token is not None or seen.job.state in ENDED:
                continue
            by = next((job.id for job in jobs if job.unique_key == seen.unique_key), "another")
            token = -int(self._server.command(b"INCR", self._server.key("manual")))
            end = self._compose.end(commands.claim_by_hand(seen, token), CANCELED)
            end.detail = json.dumps({"reason": f"replaced by job {by}"})
            words += (seen.job.id, *seen.version, codec.token_text(token))
            codec.settlement_words(words, end, self._ttl)
            count += 1
        return [count, *words]


def send(server: Server, now: float, words: codec.Words) -> list[Any]:
    """Send until there is an answer, or RETRY_S is over."""
    deadline, pause_s, maybe = time.monotonic() + RETRY_S, PAUSE_S[0], False
    while True:
        try:
            answer = server.run("enqueue_jobs", now, int(maybe), *words)
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


def accepted(jobs: Sequence[NewJob], letters: bytes, holders: Sequence[bytes]) -> tuple[EnqueuedJob, ...]:
    """The answer for each job, from the letters of enqueue_jobs.lua."""
    held_by = iter(holders)
    return tuple(
        EnqueuedJob(next(held_by).decode(), False) if letter == "h" else EnqueuedJob(job.id, letter == "1")
        for job, letter in zip(jobs, letters.decode(), strict=True)
    )
