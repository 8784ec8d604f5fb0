"""What the history answers with: frozen values, never rows.

Times are UTC epoch seconds, durations end in `_ms` or `_s`. Tasks are named by their full name (`module.name`)
where a value says `qualname` or is asked for one, by the short one where it says `task`. Texts are as they were
recorded, hostile or not: who shows them escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from duey.model.job import Failure, Job
from duey.monitor.history.buckets import BUCKETS as BUCKETS

# jobs


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are asked for; what is None or empty asks nothing. All that is given must hold.

    `state` is the state as of the last recorded event: what runs stands as queued (ask the engine for live states).
    `task` is a short or full name. `error_type` and `fingerprint` match the last error of a job, also of one that
    was retried since. `text` matches an id whole (or its first 8 characters and more), and what stands in the task's
    name, in args or in kwargs, upper and lower case alike. `since` and `until` bound the instant of the last
    recorded event. Each of `args` is (key, prefix): a keyword or parameter name, or a position (`0`), whose value
    as text begins with the prefix.
    """

    state: str | None = None
    task: str | None = None
    queue: str | None = None
    error_type: str | None = None
    fingerprint: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None
    parent: str | None = None
    by: str | None = None
    args: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class JobRow:
    """A job in a list. `n` orders the history (newer is larger), `changed_at` is the instant of its last event."""

    n: int
    job: Job
    changed_at: float
    fingerprint: str | None = None  # of its last error


@dataclass(frozen=True)
class JobRows:
    """A keyset page, newest first. `next` is the cursor of the following page, or None at the end.

    A filter that no index serves looks through a bounded number of jobs: then a page may hold few rows, or none,
    and still have a next one. `searched_back_to` is the instant of acceptance of the oldest job looked at.
    """

    rows: tuple[JobRow, ...]
    next: str | None
    searched_back_to: float | None = None


@dataclass(frozen=True)
class Count:
    """A bounded count. `capped` means: at least so many (`10k+`)."""

    number: int
    capped: bool = False


@dataclass(frozen=True)
class LogLine:
    """A line that was logged inside an attempt."""

    at: float
    level: str
    text: str


@dataclass(frozen=True)
class Attempt:
    """One execution of a job. `outcome` is done, failed, retrying, canceled, released or rescued."""

    number: int  # 1 for the first one
    outcome: str
    worker: str | None
    started_at: float | None  # None where its worker died: nothing was written at the start
    finished_at: float
    wait_ms: float | None
    run_ms: float | None
    error: Failure | None = None  # with the traceback, up to 64 KB
    fingerprint: str | None = None
    logs: tuple[LogLine, ...] = ()


@dataclass(frozen=True)
class Step:
    """One thing that happened to a job. `kind` is one of duey.model.event, or `started`."""

    at: float
    kind: str
    since_previous_ms: float | None  # None for the first
    worker: str | None = None
    reason: str | None = None  # what blocked it, which host's worker died ...
    error: Failure | None = None  # without traceback


@dataclass(frozen=True)
class JobHistory:
    """All that the history knows of a job. `attempts` and `timeline` are newest first, at most the last 100 of each."""

    row: JobRow
    attempts: tuple[Attempt, ...]
    timeline: tuple[Step, ...]
    children: tuple[JobRow, ...] = ()  # jobs that it deferred, newest first, at most 50


# errors


@dataclass(frozen=True)
class ErrorGroup:
    """Failed attempts of one cause: the same exception type raised along the same own functions."""

    fingerprint: str
    type: str
    message: str  # of the last one
    task: str
    qualname: str
    frames: tuple[str, ...]  # own frames as `file:function`, outermost first
    state: str  # open, muted or fixed
    count: int  # since first_seen
    first_seen: float
    last_seen: float
    last_job_id: str
    last_hour: Count  # failed attempts
    last_day: int  # whole hours of the clock, as the two below
    last_week: int
    sparkline: tuple[int, ...]  # 7 days in 28 steps of 6 hours, oldest first
    regressed_at: float | None = None  # when it came back after it was marked as fixed


@dataclass(frozen=True)
class ErrorGroups:
    """A keyset page of error groups, last seen first."""

    groups: tuple[ErrorGroup, ...]
    next: str | None


# the rest


@dataclass(frozen=True)
class SeenWorker:
    """A worker process as it was last seen, kept for a day after it went."""

    id: str
    host: str
    pid: int
    started_at: float
    seen_at: float
    workers: int
    worker_type: str
    queues: tuple[str, ...]
    alive: bool  # when it was last seen
    running: tuple[tuple[str, str, float | None], ...]  # (job id, qualname, started_at) when it was last seen


@dataclass(frozen=True)
class Slot:
    """One due time of a schedule. `outcome`: see duey.control.schedules.OUTCOMES."""

    schedule: str
    at: float
    outcome: str
    job_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Kept:
    """What the history holds, what they let go, and the room that they take."""

    jobs: int
    deleted: int  # by retention, since the history was begun
    oldest_at: float | None  # acceptance of the oldest job that is kept
    began_at: float  # when this file was begun
    file_bytes: int
    wal_bytes: int
    disk_free_bytes: int
    recorded_at: float | None  # when the last batch was recorded
    counted: int = 0  # successes that are on record as numbers only, since too much waited for the history
    counted_at: float | None = None  # when such were recorded last


@dataclass(frozen=True)
class HistoryHealth:
    """`problems` mean that nothing can be recorded (or read) now; `warnings` should be seen by a person."""

    ok: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pruned:
    """What a pruning removed."""

    jobs: int
    figures: int  # rows of metrics
    groups: int


@dataclass(frozen=True)
class RecorderStatus:
    """How the recorder of this process fares. `leading` means that it holds the lease."""

    leading: bool
    recorded: int  # events, since it was made
    refused: int  # events that could not be understood and were let go
    problem: str | None = None
    last_at: float | None = None
