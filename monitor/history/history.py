"""The history: what happened to every job, for pages, API and operator. Reads only, but for a few marks of people.

Order: `prepare` at the start (or the first use) makes and upgrades the file; each thread then has a connection of
its own, which `close` ends (call it after each request). Who writes is the recorder alone (`recorder`), and people
who mark an error group or visit a page. Ending: nothing is held between requests.

Every answer is a frozen value of duey.monitor.history.values, bounded in rows and in the work that it takes. Every
method may raise HistoryUnavailable (an duey.errors.StorageUnavailable) while the file cannot be used; but `health`,
`visit` and `close` never raise. A cursor that this history did not give is a BadRequest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timezone, tzinfo
from typing import Protocol

from duey.model.job import Job, Page, WorkerInfo
from duey.monitor.history.charts import Charts
from duey.monitor.history.database import Database
from duey.monitor.history.figure_values import Interval, Outcomes, TaskFigures, TaskHistory, Waits
from duey.monitor.history.figures import Figures
from duey.monitor.history.groups import Groups
from duey.monitor.history.jobs import Jobs
from duey.monitor.history.last_seen import LastSeen
from duey.monitor.history.recorder import Recorder, Source
from duey.monitor.history.retention import Retention
from duey.monitor.history.slots import Slots, Timetable
from duey.monitor.history.status import HistoryStatus
from duey.monitor.history.values import (
    Attempt,
    Count,
    ErrorGroup,
    ErrorGroups,
    HistoryHealth,
    JobFilter,
    JobHistory,
    JobRows,
    Kept,
    Pruned,
    SeenWorker,
    Slot,
)
from duey.monitor.history.workers import Workers

DAY_S = 86400.0
CAP = 10_000  # counts end here, as `10k+`


class MonitorSettings(Protocol):
    """What the history needs of `[monitor]`."""

    @property
    def backlog_rows(self) -> int: ...
    @property
    def retention_days(self) -> float: ...
    @property
    def retention_rows(self) -> int: ...
    @property
    def keep_failed_days(self) -> float: ...
    @property
    def max_value_kb(self) -> int: ...


class History:
    """One history file, for any number of threads and processes. `database_url` is `sqlite:///FILE`, else ValueError.

    `clock` gives UTC epoch seconds.
    """

    def __init__(self, database_url: str, settings: MonitorSettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._settings = settings
        self._database = Database(database_url)
        self._jobs, self._groups = Jobs(self._database), Groups(self._database, clock)
        self._figures, self._charts = Figures(self._database, clock), Charts(self._database, clock)
        self._last_seen, self._workers = LastSeen(self._database, clock), Workers(self._database, clock)
        self._status, self._slots = HistoryStatus(self._database, clock), Slots(self._database)

    def prepare(self) -> None:
        """Make, check and upgrade the file now rather than at the first use. A broken one is moved aside."""
        self._status.prepare()

    def close(self) -> None:
        """End this thread's connection, if it has one; the next use opens another. Call it after each request."""
        self._database.close()

    def recorder(
        self,
        source: Source,
        workers: Callable[[], Sequence[WorkerInfo]] | None = None,
        schedules: Callable[[], Iterable[Timetable]] | None = None,
    ) -> Recorder:
        """A recorder that drains `source` (`read_events(limit)`, `delete_events(events)`): see recorder.Recorder.

        `workers` (such as `control.workers`), where given, is asked now and then who works, so that a worker that
        died can be shown for a day; `schedules` (such as `control.schedules.all`) what became of their slots.
        """
        return Recorder(
            self._database,
            source,
            Retention(self._database, self._settings, self._clock),
            self._settings.max_value_kb * 1024,
            self._clock,
            workers,
            schedules,
            self._status.note_recorder,
        )

    # jobs

    def job(self, job_id: str) -> Job:
        """One job as of its last recorded event. Raises duey.errors.UnknownJob."""
        return self._jobs.get(job_id)

    def jobs(
        self,
        state: str | None = None,
        task: str | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        by: str | None = None,
    ) -> Page:
        """As Control.jobs, over all that the history holds. Live states are the engine's to answer."""
        return self._jobs.as_page(self._jobs.page(JobFilter(state=state, task=task, text=q, by=by), limit, cursor))

    def job_rows(self, wanted: JobFilter, limit: int = 50, cursor: str | None = None, deep: bool = False) -> JobRows:
        """A page of jobs, newest first, at most `limit` (1..500). `deep` looks through 25 times as many jobs where no
        index serves, which may take half a second: for a person who asks for it."""
        return self._jobs.page(wanted, limit, cursor, deep)

    def job_ids(self, wanted: JobFilter, limit: int = 500, cursor: str | None = None) -> tuple[list[str], str | None]:
        """Ids alone, for verbs on all that match: (at most `limit` (1..5,000) ids, next cursor or None)."""
        return self._jobs.ids(wanted, limit, cursor)

    def count(self, wanted: JobFilter, cap: int = 10_000) -> Count:
        """How many match, counted up to `cap`; where no index serves, what a bounded look has found (capped)."""
        return self._jobs.count(wanted, cap)

    def state_counts(self, wanted: JobFilter | None = None) -> dict[str, Count]:
        """The number of jobs in each state (of duey.model.job.STATES) that match all but the filter's state."""
        return self._jobs.state_counts(wanted or JobFilter(), CAP)

    def job_history(self, job_id: str) -> JobHistory:
        """One job with attempts, timeline and children. Raises duey.errors.UnknownJob."""
        return self._jobs.job_history(job_id)

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        """The attempts of one job, newest first, at most the last 100. Raises duey.errors.UnknownJob."""
        return self._jobs.attempts(job_id)

    def forget(self, job_id: str) -> None:
        """Remove an ended job from the history (figures and error groups keep their counts). Raises
        duey.errors.UnknownJob, duey.errors.StateConflict."""
        self._jobs.forget(job_id)

    # errors

    def error_groups(
        self,
        state: str | None = None,
        task: str | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ErrorGroups:
        """A page of error groups, last seen first. `state`: open, muted, fixed. `q`: in type or message."""
        return self._groups.page(state, task, q, limit, cursor)

    def error_group(self, fingerprint: str) -> ErrorGroup | None:
        """One group, or None."""
        return self._groups.get(fingerprint)

    def mark_group(self, fingerprint: str, state: str) -> ErrorGroup | None:
        """Make a group `open`, `muted` or `fixed` (ValueError for another word); None where there is none.

        A fixed group that fails again is opened, with `regressed_at`; a muted one stays muted.
        """
        return self._groups.mark(fingerprint, state)

    def open_groups(self) -> Count:
        """How many groups are open."""
        return self._groups.count_open(CAP)

    # figures

    def tasks(self, window_s: float = DAY_S) -> tuple[TaskFigures, ...]:
        """Every task that did anything in the window (up to 30 days), the one with the largest total run time first."""
        return self._figures.tasks(window_s)

    def task(self, name: str, window_s: float = DAY_S, steps: int = 48) -> TaskHistory | None:
        """One task by short or full name, in equal steps (of whole minutes, or hours); None where nothing is known."""
        return self._figures.task(name, window_s, steps)

    def totals(self, window_s: float = DAY_S) -> Outcomes:
        """How everything ended in the window, up to now."""
        return self._figures.totals(window_s)

    def minutes(self, count: int = 60, task: str | None = None) -> tuple[Interval, ...]:
        """The last minutes (up to 2,880), oldest first, the present one last; empty ones included."""
        return self._charts.minutes(count, task)

    def days(self, count: int = 30, zone: tzinfo = timezone.utc, task: str | None = None) -> tuple[Interval, ...]:
        """The last days (up to 366) as the zone counts them, oldest first, today last; empty ones included."""
        return self._charts.days(count, zone, task)

    def waits(self, count: int = 60) -> tuple[Waits, ...]:
        """How long jobs had waited, by the minute of their end, oldest first; empty minutes included."""
        return self._charts.waits(count)

    def slowest(self, window_s: float = DAY_S, limit: int = 5) -> tuple[TaskFigures, ...]:
        """The tasks with the largest p95 of run time."""
        found = [figures for figures in self.tasks(window_s) if figures.run.count]
        return tuple(sorted(found, key=lambda figures: -(figures.run.p95_ms or 0))[:limit])

    def most_failing(self, window_s: float = DAY_S, limit: int = 5) -> tuple[TaskFigures, ...]:
        """The tasks with most failed attempts, retried ones included; none that did not fail."""
        found = [figures for figures in self.tasks(window_s) if figures.failures]
        return tuple(sorted(found, key=lambda figures: -figures.failures)[:limit])

    # visits

    def note_visit(self, account: str) -> float | None:
        """Note that the account looks now; the instant at which its visit before this one ended, None for the first.

        A visit ends after half an hour without a look. Never raises and never waits: a note that cannot be written
        is lost.
        """
        return self._last_seen.note_visit(account)

    def failed_since(self, at: float) -> Count:
        """How many jobs that failed after `at` still stand as failed."""
        return self._jobs.failed_since(at, CAP)

    # workers, slots, keeping

    def seen_workers(self) -> tuple[SeenWorker, ...]:
        """Worker processes of the last day as they were last seen, newest first; the live ones among them."""
        return self._workers.seen()

    def slots(
        self, schedule: str | None = None, limit: int = 60, outcomes: Sequence[str] | None = None
    ) -> tuple[Slot, ...]:
        """The last slots of one schedule, or of all, newest first, with any of the outcomes; as of some seconds ago."""
        return self._slots.newest(schedule, outcomes, limit)

    def kept(self) -> Kept:
        """What the history holds, what they let go, and the room that they take."""
        return self._status.kept()

    def health(self) -> HistoryHealth:
        """Whether the history can be read and recorded, and what a person should know. Never raises."""
        return self._status.health()

    def prune(self) -> Pruned:
        """Do at once all that retention asks for, in small steps, and give free room back to the disk."""
        return Retention(self._database, self._settings, self._clock).prune()
