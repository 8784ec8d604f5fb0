"""The values for a job from request to display.

`JobRequest` is the request of a client, `JobRecord` the job itself, `Claim` a job that a worker holds
(duey.model.outcome: what becomes of it), `Job` the display form; duey.storage.values: a job in its place. Instants are
UTC epoch seconds (float), durations are seconds unless a name ends in `_ms`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

# The states that are shown. The state of a waiting job follows from its place, so it is not stored.
SCHEDULED, QUEUED, BLOCKED, RUNNING, RETRYING = "scheduled", "queued", "blocked", "running", "retrying"
DONE, FAILED, CANCELED, EXPIRED = "done", "failed", "canceled", "expired"
STATES = (SCHEDULED, QUEUED, BLOCKED, RUNNING, RETRYING, DONE, FAILED, CANCELED, EXPIRED)
ENDED = frozenset({DONE, FAILED, CANCELED, EXPIRED})
GONE = "gone"  # reason of a job that has not ended as far as the history knows, and that the queue does not have
RELEASED = "released"  # a state of an outcome that does not end the job: it goes back to the queue
DEFAULT_QUEUE = "default"
SCHEDULE = "schedule:"  # how `by` of a job begins that a schedule has enqueued; its name follows


@dataclass(frozen=True)
class JobRequest:
    """A request for a job. `args` and `kwargs` are JSON values, to be checked against the signature."""

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
    """Changes of a stored call: new JSON values by position (`args`) and by name (`kwargs`), and names to remove
    (`without`). Everything else stays as it was stored, including hidden values for which a mark was shown."""

    args: Mapping[int, Any] = field(default_factory=dict)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()


class JobRecord(NamedTuple):
    """A job, as everything knows it: one row. `payload` is the serialized Message, which only a retry by hand changes.

    A new job states the fields up to STATED; the others begin as they are here. What is stored of a callback
    (duey.model.sequel) depends on the order of the stated ones.
    """

    id: str
    task: str  # module.name
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    expires_at: float | None
    retries: int  # left
    retry_delay_s: float
    timeout_s: float | None
    flags: int  # ONCE | ...
    unique_key: str | None
    parent: str | None  # id of the job that enqueued this one
    chord: str | None  # id of the chord whose parts are the last argument
    context: str | None  # JSON object
    payload: bytes
    unique_s: float | None = None  # longest time that it holds its unique key
    sequel: str | None = ""  # what follows its end: duey.model.sequel; None: stored by a version that did not know it
    by: str | None = None  # who enqueued it: token, account, cli:USER or schedule:NAME; a child job has its parent's
    seq: int = 0  # number of its row; 0 until it is stored
    attempt: int = 0  # attempts that ended
    crashes: int = 0  # deaths of workers that handled it
    tree_deaths: int = 0  # deaths of whole consumers that were running it
    failures: int = 0  # failed attempts since it was enqueued, or retried by hand
    failed_at: float | None = None  # time of the first of them


STATED = JobRecord._fields.index("seq")  # how many fields a new job states
ONCE = 1  # on_crash="fail": must not run twice
HANDLED = 2  # its task has an on_failed handler
FREED_AT_START, FREED_BY_TIME = 4, 8  # when its unique key is freed; without either flag at its end
REPLACES, REFUSES = 16, 32  # what happens if its unique key is held; without either flag the holder is the answer


class Idempotency(NamedTuple):
    """An idempotency key: for 24 h, the same key with the same token means the same request."""

    token: str  # no token of another web has the same one
    key: str
    fingerprint: str  # of the request body
    former: str = ""  # `token` as older versions stored it: tokens of several webs may have the same one


class Claim(NamedTuple):
    """A job that a worker holds. `token` is never used again; it is invalid once the claim has ended."""

    token: int
    job: JobRecord


class ChordPart(NamedTuple):
    """The part of one member of a chord. The last part enqueues the callback."""

    cid: str
    idx: int
    size: int
    value: bytes
    callback: JobRecord


@dataclass(frozen=True)
class Failure:
    """Why a job (or an attempt) failed."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Job:
    """The display form of a job: JSON values, redacted."""

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
    crashes: int
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
    reason: str | None = None  # why it does not run, as KIND NAME, if the storage knows
    context: dict[str, Any] = field(default_factory=dict)
    worker: str | None = None
    parent: str | None = None
    expires_at: float | None = None
    by: str | None = None

    def unknown_to_queue(self) -> Job:
        """The job as the history has it, where the queue does not have it: if it has not ended, it never will."""
        return self if self.state in ENDED else replace(self, reason=GONE)


@dataclass(frozen=True)
class EnqueueAnswer:
    """The answer to enqueuing: the jobs, in the order of the requests. `replayed`: the idempotency key was known.
    `held`: for at least one request a job existed (same id or unique key)."""

    jobs: tuple[Job, ...]
    replayed: bool = False
    held: bool = False


@dataclass(frozen=True)
class Page:
    """A page of jobs, the newest first. `next`: the cursor of the following page, or None."""

    jobs: tuple[Job, ...]
    next: str | None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a task: `type` is its hint as text, `schema` its JSON schema where that was asked for."""

    name: str
    type: str
    required: bool
    default: Any = None  # a JSON value
    kind: str = "positional"  # positional, keyword, var_positional, var_keyword
    schema: Mapping[str, Any] = field(default_factory=dict)


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
    internal: bool = False  # only Duey itself enqueues jobs of it
    runbook: str = ""  # the section `When it fails:` of its docstring


@dataclass(frozen=True)
class QueueInfo:
    """A queue: how many jobs wait, how long the oldest has waited (seconds), whether it is paused."""

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
    """One worker process of a consumer."""

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
    code: str = ""  # fingerprint of its task modules; "" if it is unknown
    consumer: str = ""  # the same for all worker processes of one consumer
    clock_ahead_s: float = 0.0  # of its host, compared with that of the server of the queue


@dataclass(frozen=True)
class Counts:
    """How many jobs are in which state."""

    scheduled: int
    queued: int
    running: int
    retrying: int
    blocked: int
    oldest_queued_at: float | None
    events: int


@dataclass(frozen=True)
class Health:
    """Readiness, as sentences. With `problems` the service is not ready; `warnings` do not change that."""

    ok: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    schedules_since: float | None = None  # since when no consumer runs schedules although there are some
    usable: bool = True  # whether the storage can be used
