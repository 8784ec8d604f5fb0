"""The values that a job is made of as it travels: asked for, accepted, claimed, settled, looked at.

`JobRequest` is what a client asks. `NewJob` is a row to accept. `Claim` is the proof that a worker holds
a job. `Settlement` is what the finishing transaction writes. `Job` is what people and programs are shown.
Times are UTC epoch seconds (float) unless a name ends in `_ms`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# States that people see (CONTRACT.md). A waiting job's state is where it stands, so it is not stored.
SCHEDULED, QUEUED, RUNNING, RETRYING = "scheduled", "queued", "running", "retrying"
DONE, FAILED, CANCELED, EXPIRED = "done", "failed", "canceled", "expired"
STATES = (SCHEDULED, QUEUED, RUNNING, RETRYING, DONE, FAILED, CANCELED, EXPIRED)
ENDED = frozenset({DONE, FAILED, CANCELED, EXPIRED})
DEFAULT_QUEUE = "default"


@dataclass(frozen=True)
class JobRequest:
    """What a client asks for. `args` and `kwargs` are plain JSON values; checked against the signature."""

    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    delay_s: float | None = None
    eta: float | None = None
    priority: float | None = None
    queue: str | None = None
    retries: int | None = None
    expires_s: float | None = None
    unique: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edit:
    """What changes in a stored call before it runs again: new plain values by place (`args`) and by name (`kwargs`),
    and names that are left `without` a value. All else stays exactly as it was stored, also what a mark stands for
    that was shown instead of a hidden value."""

    args: Mapping[int, Any] = field(default_factory=dict)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()


class NewJob(NamedTuple):
    """A job to accept: one row. `payload` is the serialized Message and never changes afterwards."""

    id: str
    task: str  # module.name
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    expires_at: float | None
    retries: int
    retry_delay_s: float
    timeout_s: float | None
    flags: int  # ONCE | ...
    unique_key: str | None
    parent: str | None  # id of the job that deferred this one
    chord: str | None  # cid whose parts are this job's first argument
    context: str | None  # JSON object
    payload: bytes
    unique_s: float | None = None  # how long it holds its unique key at most
    sequel: str = ""  # what waits for its end: duey.model.sequel
    by: str | None = None  # who asked for it: a token or an account, cli:USER, schedule:NAME; a child's: its parent's


ONCE = 1  # on_crash="fail": must not run twice
HANDLED = 2  # its task has an on_failed
FREED_AT_START, FREED_BY_TIME = 4, 8  # when it lets its unique key go; without either, when it ends
REPLACES, REFUSES = 16, 32  # what it does where its unique key is held; without either, it gives way


class Idempotency(NamedTuple):
    """A client's promise that the same key means the same request, for 24 h, within one token."""

    token: str
    key: str
    fingerprint: str  # of the request body


class Claim(NamedTuple):
    """The proof that a worker holds a job; `token` is unique for ever, and gone once somebody else holds it."""

    token: int
    seq: int
    id: str
    task: str
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    expires_at: float | None
    attempt: int  # attempts that ended before this one
    deliveries: int  # deaths of workers that handled it
    retries: int
    retry_delay_s: float
    timeout_s: float | None
    flags: int
    chord: str | None
    context: str | None
    payload: bytes
    failures: int = 0  # failed attempts since it was deferred, or retried by hand
    failed_at: float | None = None  # the first of them
    sequel: str | None = ""  # what waits for its end; None where it was accepted before that was kept
    by: str | None = None
    tree_deaths: int = 0  # deaths of whole consumers that were running it


class ChordPart(NamedTuple):
    """One member's contribution to a chord; the one that completes it brings the callback to life."""

    cid: str
    idx: int
    size: int
    value: bytes
    callback: NewJob


class Settlement:
    """What the finishing transaction of one claim writes, all or nothing, if the claim still stands."""

    __slots__ = (
        "chord_part", "claim", "detail", "discarded", "eta", "failed_at", "failures", "finished_at", "keep_s",
        "logs", "next_jobs", "others", "outcome", "reason", "result", "retries", "retry_delay_s", "started_at", "why",
    )  # fmt: skip

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.outcome = CANCELED  # DONE, FAILED, CANCELED, EXPIRED, RETRYING, or RELEASED / PARKED
        self.result: bytes | None = None
        self.eta: float | None = None  # when to run again, for RETRYING
        self.retries = claim.retries
        self.retry_delay_s = claim.retry_delay_s
        self.failures, self.failed_at = claim.failures, claim.failed_at
        self.discarded = False
        self.why: str | None = None  # no retry, though some were left
        self.started_at: float | None = None
        self.finished_at: float | None = None
        self.keep_s: float | None = None  # how long the ended job is kept, where its task says so
        self.next_jobs: list[NewJob] | None = None
        self.others: list[tuple[str, bytes]] | None = None  # results under ids that are no job
        self.chord_part: ChordPart | None = None
        self.reason: str | None = None  # why parked, or what a job to be tried again waits for: lock NAME
        self.detail: str | None = None  # JSON of the event: error, traceback, log lines
        self.logs: list[tuple[float, str, str]] | None = None  # what the body logged: epoch s, level, text


def queues_more(settlement: Settlement) -> list[str]:
    """The queue of each job that the settlement brings: a retry, a pipeline's next job, perhaps a chord's callback."""
    queues = [settlement.claim.queue] if settlement.outcome == RETRYING else []
    if settlement.next_jobs:
        queues += [job.queue for job in settlement.next_jobs]
    if settlement.chord_part is not None:
        queues.append(settlement.chord_part.callback.queue)
    return queues


RELEASED, PARKED = "released", "parked"  # outcomes that are no end: back to the queue untouched, or aside


@dataclass(frozen=True)
class Failure:
    """Why a job (or an attempt) failed."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Job:
    """A job as people and programs are shown it: redacted, plain JSON values."""

    id: str
    task: str  # short name
    qualname: str  # module.name
    queue: str
    args: list[Any]
    kwargs: dict[str, Any]
    state: str
    priority: float
    attempt: int
    retries_left: int
    deliveries: int
    enqueued_at: float
    eta: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    wait_ms: float | None = None
    run_ms: float | None = None
    progress: dict[str, Any] | None = None  # {"done", "total", "note"}
    result: Any = None
    result_stored: bool = True
    error: Failure | None = None
    reason: str | None = None  # why it is not running, when that is known without looking further: KIND NAME
    context: dict[str, Any] = field(default_factory=dict)
    worker: str | None = None
    parent: str | None = None
    expires_at: float | None = None
    by: str | None = None


@dataclass(frozen=True)
class EnqueueAnswer:
    """The answer to a defer: the jobs in the order asked.

    `replayed`: an idempotency key answered. `held`: at least one job was there before (its id or unique key).
    """

    jobs: tuple[Job, ...]
    replayed: bool = False
    held: bool = False


@dataclass(frozen=True)
class Page:
    """A keyset page, newest first. `next` is the cursor of the following page, or None."""

    jobs: tuple[Job, ...]
    next: str | None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a task, as its signature gives it. `type` is the hint as text, `default` a plain value."""

    name: str
    type: str
    required: bool
    default: Any = None
    kind: str = "positional"  # positional, keyword, var_positional, var_keyword


@dataclass(frozen=True)
class TaskInfo:
    """A registered task."""

    name: str
    qualname: str
    doc: str
    parameters: tuple[Parameter, ...]
    options: dict[str, Any]
    paused: bool
    periodic: bool
    internal: bool = False  # only the service makes jobs of it


@dataclass(frozen=True)
class QueueInfo:
    """A named queue: how many wait, how old the oldest is (seconds), whether it is paused."""

    name: str
    waiting: int
    oldest_age_s: float | None
    paused: bool


@dataclass(frozen=True)
class Running:
    """A body that runs now."""

    job_id: str
    task: str
    started_at: float | None


@dataclass(frozen=True)
class WorkerInfo:
    """One consumer process."""

    id: str
    host: str
    pid: int
    started_at: float
    heartbeat_at: float
    workers: int
    worker_type: str
    queues: tuple[str, ...]
    alive: bool
    quiet: bool
    running: tuple[Running, ...]
    rss_bytes: int | None = None
    code: str = ""  # tells which state of the task modules it runs; "" where it is not known


@dataclass(frozen=True)
class Counts:
    """What the storage holds now."""

    scheduled: int
    queued: int
    running: int
    retrying: int
    parked: int
    oldest_queued_at: float | None
    events: int


@dataclass(frozen=True)
class Health:
    """Readiness: `problems` are sentences that make the service not ready; `warnings` do not."""

    ok: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    schedules_since: float | None = None  # since when no consumer runs schedules, although there are some to run
    usable: bool = True  # the storage
