"""Converts jobs and outcomes to arguments of scripts, and answers of scripts to values.

Numbers are sent as text, which Lua only passes on: its numbers have 53 bits, and printing one gives only 14 digits.
duey.storage.redis.keys describes what Redis holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
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
    STATED,
    Claim,
    JobRecord,
)
from duey.model.limits import Limit
from duey.model.outcome import Outcome, Ttl
from duey.model.sequel import NOTHING
from duey.payload.plain import quick_encoder
from duey.storage.redis.connection.resp import packed
from duey.storage.values import StoredJob, worker_of

compact = quick_encoder(json.JSONEncoder(separators=(",", ":")))
Words = list[Any]  # arguments of a script
CHANGES = 9  # how many values the field `m` of a job has
LOW = (1 << 32) - 1
UNIQUE_LETTERS = ((FREED_AT_START, "s"), (FREED_BY_TIME, "t"), (REPLACES, "r"), (REFUSES, "x"))


def token_text(token: int) -> str:
    """A token as `n:c`, the form in Redis."""
    return f"{token >> 32}:{token & LOW}"


def token_of(text: str) -> int:
    """The token for the text `n:c`."""
    n, _, counter = text.partition(":")
    return (int(n) << 32) | int(counter)


def event_json(token: int, at: float | None, started_at: float | None, attempt: int) -> str:
    """The numbers of an event and of the end of a job, as JSON."""
    return compact((token_text(token), at, started_at, attempt))


def changes_of(job: JobRecord) -> tuple[Any, ...]:
    """What the field `m` of a job says."""
    return (
        job.enqueued_at, job.eta, job.expires_at, job.attempt, job.crashes, job.retries, job.retry_delay_s,
        job.failures, job.failed_at,
    )  # fmt: skip


def changing(job: JobRecord) -> str:
    """The field `m` of a job."""
    return compact(changes_of(job))[1:-1]


# to Redis


def job_words(words: Words, job: JobRecord, now: float) -> None:
    """The ten arguments of a new job (lib_insert.lua)."""
    if math.isnan(job.priority) or math.isnan(job.eta or 0.0):  # Redis refuses NaN in the middle of the script
        raise errors.BadRequest(f"priority and eta of job {job.id} are numbers, not NaN")
    both = compact(
        (
            *changes_of(job),  # numbers and nulls, which hold no commas
            job.id, job.task, job.queue, job.priority, job.timeout_s, job.flags, job.chord, job.context, job.parent,
            job.unique_key, bool(job.sequel), job.by,
        )
    )  # fmt: skip
    head = both.split(",", CHANGES)[CHANGES]
    words += (
        job.id,
        head.encode() + b"\n" + job.payload,
        both[1 : -len(head) - 1],
        0.0 - job.priority,
        job.queue,
        job.task,
        "" if job.eta is None or job.eta <= now else job.eta,
        "" if job.unique_key is None else unique_word(job),
        job.chord or "",
        job.sequel,
    )


def jobs_words(jobs: Sequence[JobRecord], now: float) -> Words:
    """How many new jobs, and the arguments of each."""
    words: Words = [len(jobs)]
    for job in jobs:
        job_words(words, job, now)
    return words


PLAIN_WORDS = 11  # the number of jobs, which is 1, and the ten arguments


def plain_words(job: JobRecord) -> bytes | None:
    """The same, packed and with the number of jobs before them, at a third of the cost. None for a job that has more
    than most have."""
    more = job.eta, job.expires_at, job.unique_key, job.parent, job.chord, job.context
    if more.count(None) < len(more) or job.sequel or any(job[STATED:]):
        return None
    after_id, after_instant, last = _plain(
        job.task, job.queue, job.priority, job.timeout_s, job.flags, job.by, job.retries, job.retry_delay_s
    )
    job_id, m = job.id.encode(), compact(job.enqueued_at).encode() + after_instant
    body = b"%b%b%b" % (compact(job.id).encode(), after_id, job.payload)
    return b"$1\r\n1\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b" % (
        len(job_id), job_id, len(body), body, len(m), m, last,
    )  # fmt: skip


@lru_cache(maxsize=256, typed=True)
def _plain(
    task: str, queue: str, priority: float, timeout_s: float | None, flags: int, by: str | None, retries: int,
    retry_delay_s: float,
) -> tuple[bytes, bytes, bytes]:  # fmt: skip
    """What stands in a body between id and payload, in `m` after the instant, and the arguments from rank on."""
    new = JobRecord(
        "", task, queue, priority, 0.0, None, None, retries, retry_delay_s, timeout_s, flags, None, None, None, None,
        b"", by=by,
    )  # fmt: skip
    words: Words = []
    job_words(words, new, 0.0)
    return words[1][2:], words[2].encode()[3:], packed(words[3:])


def head_end(by: str) -> bytes:
    """How the head of each job ends that was enqueued by `by`."""
    return b"," + compact((by,))[1:].encode() + b"\n"


def unique_word(job: JobRecord) -> str:
    """The unique key of a new job and how it holds the key, as one argument."""
    letters = "".join(letter for flag, letter in UNIQUE_LETTERS if job.flags & flag)
    seconds = "" if job.unique_s is None else f"{job.unique_s:f}"
    return f"{letters}{seconds}={job.unique_key}"


def limits_text(limits: Mapping[str, Limit]) -> str:
    """The limits of tasks as argument of a script."""
    return compact(limits) if limits else ""


def outcome_words(words: Words, s: Outcome, ttl: Ttl, crashes: int | None = None) -> None:
    """Append the arguments of a outcome (lib_settle.lua). `crashes`: the new count, if a crash was counted."""
    (token, job), state, now = s.claim, s.state, clock.now()
    attempt = s.attempts
    at: Any = ""
    m = ""
    if state in ENDED:
        at = s.gone_at(ttl)
    elif state == BLOCKED:
        at = f"{s.reason} {job.task}"
    elif s.eta is not None and s.eta > now:
        at = s.eta
    if state == RETRYING:
        m = changing(
            job._replace(
                eta=s.eta, attempt=attempt, retries=s.retries, retry_delay_s=s.retry_delay_s, failures=s.failures,
                failed_at=s.failed_at,
            )
        )  # fmt: skip
    elif crashes is not None:
        m = changing(job._replace(crashes=crashes))
    flags, more = extras(s, ttl, now)
    words += (
        state, job.id, token_text(token), event_json(token, s.finished_at, s.started_at, attempt), flags,
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


def record_of(fields: Sequence[Any], payload: bytes) -> JobRecord:
    """A job, from the fields of lib_claim.lua: trees, sequel, counter, seq, those of `m`, those of its head."""
    (
        trees, sequel, _, seq, enqueued_at, eta, expires_at, attempt, crashes, retries, retry_delay_s, failures,
        failed_at, job_id, task, queue, priority, timeout_s, flags, chord, context, parent, unique_key, *known,
    ) = fields  # fmt: skip
    values = (
        job_id, task, queue, priority, enqueued_at, eta, expires_at, retries, retry_delay_s, timeout_s, flags,
        unique_key, parent, chord, context, payload, None,
        sequel or (NOTHING if known else None),  # version 2 added to the head whether it has one, and who enqueued it
        known[1] if len(known) > 1 else None, seq, attempt, crashes, trees, failures, failed_at,
    )  # fmt: skip
    return JobRecord._make(values)


def fields_of(m: bytes, head: bytes) -> list[Any]:
    """The fields of `m` and of a head, which has lost its opening bracket."""
    return list(json.loads(b"[%b,%b" % (m, head)))


class Header(NamedTuple):
    """The part of the answer of settle_and_claim.lua before the claims."""

    counter: int  # of the next token
    more: int
    blocked_many: int  # 1 if it stopped early because it set many jobs aside
    sleepers: int
    marks: int
    next_due: float | None
    lost: list[str]
    stopped: list[str]  # not settled, because they were asked to stop and must not go back to the queue


def header_of(text: bytes) -> Header:
    return Header._make(json.loads(text))


def claim_of(n: int, handed_over: bytes) -> Claim:
    """The claim that a script handed over to worker n (lib_claim.lua)."""
    text, _, payload = handed_over.partition(b"\n")
    fields = json.loads(text)
    return Claim((n << 32) | fields[2], record_of(fields, payload))


PLACES = {b"retrying": "scheduled", b"ended": "finished"}
WITH_A_REASON = (b"blocked", b"scheduled", b"retrying")
SEEN_AS = {b"ready": QUEUED, b"claimed": RUNNING}


def stored_of(fields: Sequence[Any]) -> StoredJob:
    """A job from the answer of lib_job.lua."""
    seq, place, m, token, why, state, end, stopping, result, body, *more = fields
    head, _, payload = body.partition(b"\n")
    sequel, trees = more or (None, None)
    known = [int(trees or 0), sequel and sequel.decode(), 0, int(seq), *fields_of(m, head)]
    job = record_of(known, payload)
    held = token_of(token.decode()) if place == b"claimed" else 0
    worker = worker_of(held)
    started_at = finished_at = None
    if place == b"ended":
        ended_by, finished_at, started_at, attempt = json.loads(end)
        job, worker = job._replace(attempt=attempt), worker_of(token_of(ended_by))
    return StoredJob(
        job, PLACES.get(place, place.decode()),
        state.decode() if place == b"ended" else SEEN_AS.get(place) or place.decode(),
        why.decode() if why and place in WITH_A_REASON else None,
        held, worker, started_at, finished_at, result, bool(stopping), (place, token or b"", m, end or b""),
    )  # fmt: skip
