"""Converts jobs and outcomes to arguments of scripts, and answers of scripts to values.

Numbers are sent as text, which Lua only passes on: its numbers have 53 bits, and printing one gives only 14 digits.
duey.storage.redis.keys describes what Redis holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from duey import clock, errors
from duey.model.job import (
    BLOCKED,
    ENDED,
    FREED_AT_START,
    FREED_BY_TIME,
    QUEUED,
    REFUSES,
    REPLACES,
    RETRYING,
    RUNNING,
    Claim,
    NewJob,
)
from duey.model.outcome import Outcome, Ttl
from duey.model.sequel import NOTHING
from duey.storage.values import StoredJob

compact = json.JSONEncoder(separators=(",", ":")).encode
Words = list[Any]  # arguments of a script
LOW = (1 << 32) - 1
UNIQUE_LETTERS = ((FREED_AT_START, "s"), (FREED_BY_TIME, "t"), (REPLACES, "r"), (REFUSES, "x"))


def token_text(token: int) -> str:
    """A token as `n:c`, the form in Redis."""
    return f"{token >> 32}:{token & LOW}"


def token_of(text: str) -> int:
    """The token for the text `n:c`."""
    n, _, counter = text.partition(":")
    return (int(n) << 32) | int(counter)


def worker_of(token: int) -> int | None:
    """The number of the worker that had the claim, None if no worker was involved."""
    return token >> 32 if token > 0 else None


def event_json(token: int, at: float | None, started_at: float | None, attempt: int) -> str:
    """The numbers of an event and of the end of a job, as JSON."""
    return compact((token_text(token), at, started_at, attempt))


def changing(
    enqueued_at: float, eta: float | None, expires_at: float | None, attempt: int, crashes: int, retries: int,
    retry_delay_s: float, failures: int, failed_at: float | None,
) -> str:  # fmt: skip
    """The field `m` of a job."""
    return compact((enqueued_at, eta, expires_at, attempt, crashes, retries, retry_delay_s, failures, failed_at))[1:-1]


def changing_of(claim: Claim, crashes: int) -> str:
    """The field `m` of a claimed job after a crash was counted."""
    return changing(
        claim.enqueued_at, claim.eta, claim.expires_at, claim.attempt, crashes, claim.retries, claim.retry_delay_s,
        claim.failures, claim.failed_at,
    )  # fmt: skip


# to Redis


def job_words(words: Words, job: NewJob, now: float) -> None:
    """The eleven arguments of a new job (lib_insert.lua)."""
    if math.isnan(job.priority) or math.isnan(job.eta or 0.0):  # Redis refuses NaN in the middle of the script
        raise errors.BadRequest(f"priority and eta of job {job.id} are numbers, not NaN")
    head = compact(
        (
            job.id, job.task, job.queue, job.priority, job.timeout_s, job.flags, job.chord, job.context, job.parent,
            job.unique_key, bool(job.sequel), job.by,
        )
    )  # fmt: skip
    words += (
        job.id,
        head[1:].encode() + b"\n" + job.payload,
        changing(job.enqueued_at, job.eta, job.expires_at, 0, 0, job.retries, job.retry_delay_s, 0, None),
        0.0 - job.priority,
        job.queue,
        job.task,
        "" if job.eta is None or job.eta <= now else job.eta,
        "" if job.unique_key is None else unique_word(job),
        job.chord or "",
        event_json(0, job.enqueued_at, None, 0),
        job.sequel,
    )


def head_end(by: str) -> bytes:
    """How the head of each job ends that was enqueued by `by`."""
    return b"," + compact((by,))[1:].encode() + b"\n"


def unique_word(job: NewJob) -> str:
    """The unique key of a new job and how it holds the key, as one argument."""
    letters = "".join(letter for flag, letter in UNIQUE_LETTERS if job.flags & flag)
    seconds = "" if job.unique_s is None else f"{job.unique_s:f}"
    return f"{letters}{seconds}={job.unique_key}"


def outcome_words(words: Words, s: Outcome, ttl: Ttl, crashes: int | None = None) -> None:
    """Append the arguments of a outcome (lib_settle.lua). `crashes`: the new count, if a crash was counted."""
    claim, state, now = s.claim, s.state, clock.now()
    attempt = s.attempts
    at: Any = ""
    m = ""
    if state in ENDED:
        at = s.finished_at + s.kept_s(ttl)
    elif state == BLOCKED:
        at = f"{s.reason} {claim.task}"
    elif s.eta is not None and s.eta > now:
        at = s.eta
    if state == RETRYING:
        m = changing(
            claim.enqueued_at, s.eta, claim.expires_at, attempt, claim.crashes, s.retries, s.retry_delay_s,
            s.failures, s.failed_at,
        )  # fmt: skip
    elif crashes is not None:
        m = changing_of(claim, crashes)
    flags, more = extras(s, ttl, now)
    words += (
        state, claim.id, token_text(claim.token), event_json(claim.token, s.finished_at, s.started_at, attempt), flags,
        b"" if s.result is None else s.result, at, m, *more,
    )  # fmt: skip


def extras(s: Outcome, ttl: Ttl, now: float) -> tuple[str, Words]:
    """The parts that most outcomes do not have: the letters that announce them, and their arguments in order."""
    flags = ""
    more: Words = []
    if s.result is not None:
        flags += "r"
    if s.state == RETRYING and s.reason is not None:
        flags += "w"
        more.append(s.reason)
    if s.detail is not None:
        flags += "d"
        more.append(s.detail)
    if s.follow_ups:
        flags += "n"
        more.append(len(s.follow_ups))
        for job in s.follow_ups:
            job_words(more, job, now)
    if s.others:
        flags += "o"
        more += (len(s.others), s.finished_at + ttl.result_s)
        for key, value in s.others:
            more += (key, value)
    if s.chord_part:
        flags += "c"
        part = s.chord_part
        more += (part.cid, part.idx, part.size, part.value)
        job_words(more, part.callback, now)
    return flags, more


# from Redis


def by_of(known: Sequence[Any]) -> str | None:
    """Who enqueued a job, from the fields that version 2 added to its head."""
    return known[1] if len(known) > 1 else None


def claim_of(n: int, handed_over: bytes) -> Claim:
    """The claim that a script handed over to worker n (lib_claim.lua)."""
    text, _, payload = handed_over.partition(b"\n")
    (
        trees, sequel, counter, seq, enqueued_at, eta, expires_at, attempt, crashes, retries, retry_delay_s,
        failures, failed_at, job_id, task, queue, priority, timeout_s, flags, chord, context, _parent, _unique, *known,
    ) = json.loads(text)  # fmt: skip
    return Claim(
        (n << 32) | counter, seq, job_id, task, queue, priority, enqueued_at, eta, expires_at, attempt, crashes,
        retries, retry_delay_s, timeout_s, flags, chord, context, payload, failures, failed_at,
        sequel or (NOTHING if known else None), by_of(known), trees,
    )  # fmt: skip


class Seen(NamedTuple):
    """A job as it was read, with what is needed to change it only if it has not changed since."""

    job: StoredJob
    token: int | None  # of its claim
    retry_delay_s: float
    failures: int
    failed_at: float | None
    timeout_s: float | None
    flags: int
    chord: str | None
    unique_key: str | None
    sequel: str | None
    version: tuple[bytes, bytes, bytes, bytes]  # place, token, m, end
    head: bytes


PLACES = {b"retrying": "scheduled", b"ended": "finished"}
WITH_A_REASON = (b"blocked", b"scheduled", b"retrying")
SEEN_AS = {b"ready": QUEUED, b"claimed": RUNNING}


def seen_of(fields: Sequence[Any]) -> Seen:
    """A job from the answer of lib_job.lua."""
    seq, place, m, token, why, state, end, stopping, result, body, *kept = fields
    head, _, payload = body.partition(b"\n")
    job_id, task, queue, priority, timeout_s, flags, chord, context, parent, unique_key, *known = json.loads(
        b"[" + head
    )
    enqueued_at, eta, expires_at, attempt, crashes, retries, retry_delay_s, failures, failed_at = json.loads(
        b"[" + m + b"]"
    )
    held = token_of(token.decode()) if place == b"claimed" else None
    worker = None if held is None else worker_of(held)
    started_at = finished_at = None
    if place == b"ended":
        ended_by, finished_at, started_at, attempt = json.loads(end)
        worker = worker_of(token_of(ended_by))
    job = StoredJob(
        int(seq), job_id, task, queue, priority, enqueued_at, eta, expires_at, attempt, crashes, retries, context,
        chord, parent, by_of(known), payload, PLACES.get(place, place.decode()),
        state.decode() if place == b"ended" else
        SEEN_AS.get(place) or place.decode(), why.decode() if why and place in WITH_A_REASON else None, worker,
        started_at, finished_at, result, bool(stopping),
    )  # fmt: skip
    version = (place, token or b"", m, end or b"")
    sequel = kept[0].decode() if kept and kept[0] else (NOTHING if known else None)
    return Seen(
        job, held, retry_delay_s, failures, failed_at, timeout_s, flags, chord, unique_key, sequel, version, head
    )
