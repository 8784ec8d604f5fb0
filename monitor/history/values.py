"""The values that the history returns. All are frozen.

Times are UTC epoch seconds, durations end in `_ms` or `_s`. `qualname` is the full name of a task (`module.name`),
`task` the short one. Texts are stored as they came and may be hostile: escape them before you show them.
"""

from __future__ import annotations

from dataclasses import dataclass

from duey.model.job import Failure, Job
from duey.model.log_lines import LogLine as LogLine
from duey.monitor.history.tallies import BUCKETS as BUCKETS

# jobs


@dataclass(frozen=True)
class JobFilter:
    """A filter on jobs. All given conditions must match. None or empty means no condition.

    `state` is the state as of the last recorded event, so a running job is queued (ask the engine for live states).
    `task` is a short or full name. `error_type` and `fingerprint` match the last error of a job, even if it was
    retried since. `text` matches an id (or its first 8 or more characters), and any part of the task's name, of args
    or of kwargs, without regard to case. `since` and `until` limit the time of the last recorded event. `args` are
    pairs (key, prefix): a keyword, parameter name or position (`0`), and the beginning of its value as text.
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
    """A job in a list. `n` orders the history (newer is larger). `changed_at` is the time of its last event."""

    n: int
    job: Job
    changed_at: float
    fingerprint: str | None = None  # of its last error


@dataclass(frozen=True)
class JobRows:
    """A page of jobs, newest first. `next` is the cursor of the next page, or None at the end.

    A filter without an index searches a limited number of jobs. Such a page may have few jobs or none, and still a
    next page. `searched_back_to` is when the oldest searched job was accepted.
    """

    rows: tuple[JobRow, ...]
    next: str | None
    searched_back_to: float | None = None


@dataclass(frozen=True)
class Count:
    """A limited count. `capped` means at least this many (`10k+`)."""

    number: int
    capped: bool = False


@dataclass(frozen=True)
class Attempt:
    """One attempt of a job. `outcome` is done, failed, retrying, canceled, released or rescued."""

    number: int  # from 1
    outcome: str
    worker: str | None
    started_at: float | None  # None if its worker died, because the start is not recorded
    finished_at: float
    wait_ms: float | None
    run_ms: float | None
    error: Failure | None = None  # with the traceback, up to 64 KB
    fingerprint: str | None = None
    logs: tuple[LogLine, ...] = ()
    cpu_ms: float | None = None  # processor time
    peak_bytes: int | None = None  # of the memory of its process, if it had one of its own


@dataclass(frozen=True)
class Used:
    """What the last attempts of a task used that were done and measured, among its last 1,000."""

    count: int
    cpu_p95_ms: float | None
    cpu_max_ms: float | None
    peak_p95_bytes: int | None
    peak_max_bytes: int | None
    largest: tuple[tuple[str, float, int], ...]  # (job id, finished at, peak in bytes), the largest first


@dataclass(frozen=True)
class Step:
    """One event in the life of a job. `kind` is one of duey.model.event, or `started`."""

    at: float
    kind: str
    since_previous_ms: float | None  # None for the first
    worker: str | None = None
    reason: str | None = None  # what blocked it, the host of the dead worker ...
    error: Failure | None = None  # without traceback


@dataclass(frozen=True)
class JobHistory:
    """All that the history has of a job. `attempts` and `timeline` are newest first, at most the last 100 of each."""

    row: JobRow
    attempts: tuple[Attempt, ...]
    timeline: tuple[Step, ...]
    children: tuple[JobRow, ...] = ()  # jobs that it enqueued, newest first, at most 50


@dataclass(frozen=True)
class Difference:
    """One thing that differs from the last success, as texts."""

    label: str  # code, host, argument NAME, ran for, waited for
    now: str
    before: str


@dataclass(frozen=True)
class LastSuccess:
    """The last job of the same task that was done before a job, and what differs."""

    job_id: str
    finished_at: float
    differences: tuple[Difference, ...]


# errors


@dataclass(frozen=True)
class ErrorGroup:
    """Failed attempts with one cause: the same exception type, raised in the same functions of the user's code."""

    fingerprint: str
    type: str
    message: str  # of the last failure
    task: str
    qualname: str
    frames: tuple[str, ...]  # own frames as `file:function`, outermost first
    state: str  # open, muted or fixed
    count: int  # since first_seen
    first_seen: float
    last_seen: float
    last_job_id: str
    last_hour: Count  # failed attempts
    last_day: int  # in whole hours, as the two below
    last_week: int
    sparkline: tuple[int, ...]  # 7 days in 28 steps of 6 hours, oldest first
    regressed_at: float | None = None  # when it failed again after it was marked as fixed


@dataclass(frozen=True)
class ErrorGroups:
    """A page of error groups, last seen first."""

    groups: tuple[ErrorGroup, ...]
    next: str | None


# other values


@dataclass(frozen=True)
class SeenWorker:
    """A worker process as it was last seen, kept for a day after it ended."""

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
    consumer: str = ""
    death: str | None = None  # how it died, as far as it is known; None if it ended by itself, or is alive


@dataclass(frozen=True)
class Slot:
    """A due time of a schedule. `outcome`: see duey.control.schedules.OUTCOMES."""

    schedule: str
    at: float
    outcome: str
    job_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class SlotRun:
    """A slot, and the times of its job, None where it has none or it is not kept."""

    slot: Slot
    wait_ms: float | None
    run_ms: float | None


@dataclass(frozen=True)
class SlotGroup:
    """Slots of a schedule with one outcome, and one reason if they are missed or skipped. `reason` and `job_id` are
    those of the newest."""

    schedule: str
    outcome: str
    reason: str | None
    count: int
    first_at: float
    last_at: float
    job_id: str | None = None


@dataclass(frozen=True)
class Kept:
    """What the history holds, what retention deleted, and sizes in bytes."""

    jobs: int
    deleted: int  # by retention, since the file was created
    oldest_at: float | None  # acceptance of the oldest job in the history
    began_at: float  # when the file was created
    file_bytes: int
    wal_bytes: int
    disk_free_bytes: int | None  # None: on the disk of a server
    recorded_at: float | None  # when the last batch was recorded
    counted: int = 0  # successes recorded only as numbers, because too many events waited for the history
    counted_at: float | None = None  # when the last of them were recorded


@dataclass(frozen=True)
class HistoryHealth:
    """`problems` stop recording or reading. `warnings` are for a person to read. `elsewhere`: the sentence that another
    history is recorded instead of this one, or ''."""

    ok: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    elsewhere: str = ""


@dataclass(frozen=True)
class Pruned:
    """What `prune` deleted."""

    jobs: int
    figures: int  # rows
    groups: int


@dataclass(frozen=True)
class RecorderStatus:
    """The status of the recorder of this process. `leading` means that it holds the lease, and that this history owns
    the events. `elsewhere`: the sentence that another history is recorded instead, or ''."""

    leading: bool
    recorded: int  # events since it was made
    refused: int  # events that could not be understood and were left out
    problem: str | None = None
    last_at: float | None = None
    elsewhere: str = ""
