"""What the rules look at: values that were read once for one evaluation. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from duey.alerts.peers import PeerSeen

EACH, GROUP, NEVER = "each", "group", "never"  # the option `alert` of a task


class ErrorSeen(NamedTuple):
    """An error group that failed since the last evaluation, or whose incident is open."""

    fingerprint: str
    type: str
    message: str
    task: str
    state: str  # open, muted or fixed
    alert: str  # EACH, GROUP or NEVER
    total: int  # failed attempts since it was first seen
    last_seen: float
    regressed_at: float | None
    last_job_id: str
    schedule: str | None = None  # the schedule that enqueued the last job
    failures: int = 0  # failed attempts since the last evaluation
    ended: int = 0  # of them, jobs that failed for good
    first_at: float = 0.0  # of these failures
    last_hour: int = 0  # failed attempts; counted only where error_rate is on


class FailedJob(NamedTuple):
    """A job of a task with alert="each" that failed for good. `is_new`: since the last evaluation."""

    id: str
    task: str
    error: str
    failed_at: float
    is_new: bool
    is_failed: bool = True  # False once it was retried, or deleted


class Occurrence(NamedTuple):
    """A due time of a schedule, with the times of its job."""

    at: float
    outcome: str  # duey.control.schedules.OUTCOMES
    job_id: str | None = None
    reason: str | None = None
    enqueued_at: float | None = None
    started_at: float | None = None
    error: str = ""


class ScheduleSeen(NamedTuple):
    """A schedule that is not paused, with its newest occurrences, newest first."""

    name: str
    occurrences: tuple[Occurrence, ...]


class QueueSeen(NamedTuple):
    """A queue that is not paused."""

    name: str
    waiting: int
    oldest_age_s: float


class RunningJob(NamedTuple):
    """A job that runs now. `p95_ms`: of its task over a week, None if it ran too rarely to say."""

    id: str
    task: str
    started_at: float
    p95_ms: float | None


class Deaths(NamedTuple):
    """Jobs that were rescued from dead worker processes, and worker processes that died without a job, since the last
    evaluation."""

    number: int = 0
    last: str = ""  # which worker died, in words
    task: str = ""  # of the job that was rescued last, "" if the last death was without one
    job_id: str = ""


NO_DEATHS = Deaths()


class Away(NamedTuple):
    """Since when the queue's storage cannot be used, and why."""

    since: float
    problem: str


class Live(NamedTuple):
    """What the queue's storage says."""

    queues: tuple[QueueSeen, ...]
    consumer_seen_at: float | None  # None while a consumer runs; otherwise when the last one was seen
    running: tuple[RunningJob, ...]
    schedules: tuple[ScheduleSeen, ...]
    unrecorded_s: float  # how long events have waited without any being recorded
    unrecorded: int
    schedules_since: float | None = None  # since when no consumer runs schedules, although there are some


@dataclass(frozen=True)
class Snapshot:
    """All values of one evaluation. `live` None: the queue's storage cannot be used, as `away` says, so that nothing is
    known of it."""

    now: float
    since: float  # when alerts began; what was before is not told
    entry: int  # entries of the history up to this number were read
    errors: tuple[ErrorSeen, ...] = ()
    failed: tuple[FailedJob, ...] = ()
    deaths: Deaths = NO_DEATHS
    live: Live | None = None
    away: Away | None = None
    disks: tuple[tuple[str, int], ...] = ()  # a folder of the service on each disk, and its free bytes
    problem: str = ""  # why nothing is recorded, if the recorder of this process says so
    peers: tuple[PeerSeen, ...] | None = ()  # None: not asked yet
    backup_at: float | None = None  # of the newest complete backup
    changed_at: Mapping[str, float] = field(default_factory=dict)  # of the open incidents, by subject
