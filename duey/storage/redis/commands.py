"""Changes of one job by hand, and what a resume queues again. A script applies each change of a job if the job has not
changed since it was read.

`retry` and `forget` read the job themselves, and start again if it has changed. `was`: change the job only if it is in
this state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duey import clock, errors
from duey.model.job import ENDED, RETRYING
from duey.model.limits import Limit
from duey.model.outcome import Outcome, Ttl
from duey.storage.redis import codec, queries
from duey.storage.redis.client import Server
from duey.storage.redis.session import limits_text
from duey.storage.values import TRIES, StoredJob, busy

STEP = 500  # jobs that one script moves: limits how long other clients wait


def find(server: Server, job_id: str) -> StoredJob:
    """The job. Raises UnknownJob."""
    found = queries.get_job(server, job_id)
    if found is None:
        raise errors.UnknownJob(job_id)
    return found


def end(server: Server, seen: StoredJob, outcome: Outcome, ttl: Ttl) -> bool:
    """End a waiting job. False if it has changed since it was read."""
    return bool(apply(server, "finish", seen.job.id, seen.version, *end_words(server, outcome, ttl)) == 1)


def end_words(server: Server, outcome: Outcome, ttl: Ttl) -> codec.Words:
    """How a waiting job ends, under a token that belongs to no worker."""
    token = -int(server.command(b"INCR", server.key("manual")))
    words: codec.Words = [codec.token_text(token)]
    codec.outcome_words(words, outcome._replace(claim=outcome.claim._replace(token=token)), ttl)
    return words


def retry(server: Server, job_id: str, payload: bytes | None, retries: int, was: str | None) -> None:
    """Queue an ended or retrying job again."""
    for _ in range(TRIES):
        seen = find(server, job_id)
        if (seen.state not in ENDED and seen.state != RETRYING) or was not in (None, seen.state):
            raise errors.StateConflict(job_id, "retry", seen.state)
        job = seen.job._replace(eta=None, expires_at=None, crashes=0, retries=retries, failures=0, failed_at=None)
        done = apply(server, "retry", job_id, seen.version, codec.changing(job), payload or b"", job.attempt)
        if done == 1:
            return
        if isinstance(done, bytes):
            raise errors.UniqueConflict(job.unique_key or "", done.decode())
    raise busy(job_id)


def forget(server: Server, job_id: str, was: str | None) -> None:
    """Remove an ended job."""
    for _ in range(TRIES):
        seen = find(server, job_id)
        if seen.state not in ENDED or was not in (None, seen.state):
            raise errors.StateConflict(job_id, "delete", seen.state)
        if apply(server, "forget", job_id, seen.version) == 1:
            return
    raise busy(job_id)


def unblock(server: Server, why: str) -> int:
    """Queue again what was set aside for this reason. Returns the number of jobs."""
    count = 0
    while moved := int(server.run("unblock", why, clock.now(), STEP)):
        count += moved
    return count


def unblock_tasks(server: Server, known: Sequence[str], limits: Mapping[str, Limit]) -> int:
    """Queue again what waits for these tasks to be known, or for limits that they no longer have. Returns the number of
    jobs."""
    held = {why.decode() for why in server.command(b"SMEMBERS", server.key("block_reasons"))}
    count = sum(unblock(server, why) for why in sorted(held & {f"unknown {task}" for task in known}))
    if any(why.startswith(("limit ", "rate ")) for why in held):
        now_limits = {task: limits.get(task, Limit(None, None, 0.0)) for task in known}
        count += int(server.run("recheck", clock.now(), limits_text(now_limits)))
    return count


def apply(server: Server, verb: str, job_id: str, version: tuple[Any, ...], *words: Any) -> Any:
    """Apply a change if the job is still as it was read. 1: done; 0: it has changed; or the id of the job that holds
    its unique key."""
    return server.run("verb", verb, job_id, *version, clock.now(), *words)
