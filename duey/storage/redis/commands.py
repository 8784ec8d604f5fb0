"""Changes of one job by hand, and what a resume queues again. A script applies each change of a job if the job has not
changed since it was read.

`retry` and `forget` read the job themselves, and start again if it has changed. `was`: change the job only if it is in
this state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duey import clock, errors
from duey.model.job import ENDED, RETRYING, Claim
from duey.model.limits import Limit
from duey.model.outcome import Outcome, Ttl
from duey.storage.redis import codec, queries
from duey.storage.redis.client import Server
from duey.storage.redis.session import limits_text
from duey.storage.values import TRIES, SeenJob, busy

STEP = 500  # jobs that one script moves: limits how long other clients wait


def find(server: Server, job_id: str) -> codec.Seen:
    """The job. Raises UnknownJob."""
    seen = queries.get_job(server, job_id)
    if seen is None:
        raise errors.UnknownJob(job_id)
    return seen


def look(server: Server, job_id: str) -> SeenJob | None:
    """The job, in order to change it if it has not changed since."""
    seen = queries.get_job(server, job_id)
    if seen is None:
        return None
    job = seen.job
    claim = Claim(
        seen.token or 0, job.seq, job.id, job.task, job.queue, job.priority, job.enqueued_at, job.eta, job.expires_at,
        job.attempt, job.crashes, job.retries, seen.retry_delay_s, seen.timeout_s, seen.flags, seen.chord,
        job.context, job.payload, seen.failures, seen.failed_at, seen.sequel, job.by,
    )  # fmt: skip
    waits = seen.token is None and job.state not in ENDED
    return SeenJob(claim, job.state, waits, job.reason, seen.unique_key, seen.version)


def end(server: Server, seen: SeenJob, outcome: Outcome, ttl: Ttl) -> bool:
    """End a waiting job. False if it has changed since it was read."""
    return bool(apply(server, "finish", seen.claim.id, seen.version, *end_words(server, outcome, ttl)) == 1)


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
        job = seen.job
        if (job.state not in ENDED and job.state != RETRYING) or was not in (None, job.state):
            raise errors.StateConflict(job_id, "retry", job.state)
        m = codec.changing(job.enqueued_at, None, None, job.attempt, 0, retries, seen.retry_delay_s, 0, None)
        body = b"" if payload is None else seen.head + b"\n" + payload
        done = apply(server, "retry", job_id, seen.version, m, body, job.attempt)
        if done == 1:
            return
        if isinstance(done, bytes):
            raise errors.UniqueConflict(seen.unique_key or "", done.decode())
    raise busy(job_id)


def forget(server: Server, job_id: str, was: str | None) -> None:
    """Remove an ended job."""
    for _ in range(TRIES):
        seen = find(server, job_id)
        if seen.job.state not in ENDED or was not in (None, seen.job.state):
            raise errors.StateConflict(job_id, "delete", seen.job.state)
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
