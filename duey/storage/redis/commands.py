"""Operations on one job by hand: cancel, retry, forget. Also fails a job whose task no consumer knows.

Each reads the job, creates what only Python can create (the settlement, the numbers of a retry), and sends it to a
script that applies it if the job has not changed since. Otherwise it starts again. `was`: change the job only if it is
in this state.
"""

from __future__ import annotations

from typing import Any

from duey import clock, errors
from duey.model.job import CANCELED, ENDED, FAILED, RETRYING, Claim
from duey.storage.redis import codec, queries
from duey.storage.redis.client import Server

TRIES = 20  # after so many attempts at a job that keeps changing, give up


def find(server: Server, job_id: str) -> codec.Seen:
    """The job. Raises UnknownJob."""
    seen = queries.get_job(server, job_id)
    if seen is None:
        raise errors.UnknownJob(job_id)
    return seen


def cancel(server: Server, job_id: str, compose: Any, ttl: codec.Ttl, was: str | None) -> str:
    """End a waiting job as canceled, or ask a running one to stop. Returns the state before."""
    for _ in range(TRIES):
        seen = find(server, job_id)
        if seen.job.state in ENDED or was not in (None, seen.job.state):
            raise errors.StateConflict(job_id, "cancel", seen.job.state)
        if seen.token is not None:
            done = apply(server, "stop", seen) == 1
        else:
            done = finish(server, seen, CANCELED, None, compose, ttl)
        if done:
            return seen.job.state
    raise busy(job_id)


def fail_unknown(server: Server, job_id: str, compose: Any, ttl: codec.Ttl) -> bool:
    """Fail a job that is still set aside because no consumer knows its task. False if it is not."""
    seen = queries.get_job(server, job_id)
    if seen is None or not (seen.job.reason or "").startswith("unknown "):
        return False
    return finish(server, seen, FAILED, errors.TaskUnknown(seen.job.task), compose, ttl)


def finish(
    server: Server, seen: codec.Seen, outcome: str, error: Exception | None, compose: Any, ttl: codec.Ttl
) -> bool:
    """End a waiting job, under a token that belongs to no worker. False if the job has changed meanwhile."""
    token = -int(server.command(b"INCR", server.key("manual")))
    words: codec.Words = [codec.token_text(token)]
    codec.settlement_words(words, compose.end(claim_by_hand(seen, token), outcome, error), ttl)
    return bool(apply(server, "finish", seen, *words) == 1)


def retry(server: Server, job_id: str, payload: bytes | None, retries: int, was: str | None) -> None:
    """Queue an ended or retrying job again."""
    for _ in range(TRIES):
        seen = find(server, job_id)
        job = seen.job
        if (job.state not in ENDED and job.state != RETRYING) or was not in (None, job.state):
            raise errors.StateConflict(job_id, "retry", job.state)
        m = codec.changing(job.enqueued_at, None, None, job.attempt, 0, retries, seen.retry_delay_s, 0, None)
        body = b"" if payload is None else seen.head + b"\n" + payload
        done = apply(server, "retry", seen, m, body, job.attempt)
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
        if apply(server, "forget", seen) == 1:
            return
    raise busy(job_id)


def apply(server: Server, verb: str, seen: codec.Seen, *words: Any) -> Any:
    """Apply a change if the job is still as it was read. 1: done; 0: it has changed; or the id of the job that holds
    its unique key."""
    return server.run("verb", verb, seen.job.id, *seen.version, clock.now(), *words)


def claim_by_hand(seen: codec.Seen, token: int) -> Claim:
    """A waiting job as a claim of no worker."""
    job = seen.job
    return Claim(
        token, job.seq, job.id, job.task, job.queue, job.priority, job.enqueued_at, job.eta, job.expires_at,
        job.attempt, job.crashes, job.retries, seen.retry_delay_s, seen.timeout_s, seen.flags, seen.chord,
        job.context, job.payload, seen.failures, seen.failed_at, seen.sequel, job.by,
    )  # fmt: skip


def busy(job_id: str) -> errors.StorageBusy:
    """The error for a job that kept changing."""
    return errors.StorageBusy(f"job {job_id} keeps changing: try again")
