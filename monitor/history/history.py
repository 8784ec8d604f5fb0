"""The history as pages, API and command line use it. Only the recorder writes jobs, attempts and errors.

`prepare` (or the first use) creates and upgrades the file. Each thread has a connection of its own, which `close`
ends: call it after each request. No lock is held between calls. Users write only marks of error groups and visits.

Methods return frozen values, limited in rows and in work. They raise HistoryUnavailable (a StorageUnavailable) if
the file cannot be used, except `health`, `note_visit` and `close`, which never raise. An unknown cursor is a
BadRequest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timezone, tzinfo
from typing import Protocol

from duey.model.job import Job, Page, WorkerInfo
from duey.monitor.history.database import Database
from duey.monitor.history.figure_values import Interval, Outcomes, TaskFigures, TaskHistory, Waits
from duey.monitor.history.last_seen import LastSeen, Workers
from duey.monitor.history.queries.figures import Charts, Figures
from duey.monitor.history.queries.groups import Groups
from duey.monitor.history.queries.jobs import Jobs
from duey.monitor.history.recording.recorder import Recorder, Source
from duey.monitor.history.recording.retention import Retention
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

DAY_S = 86400.0
CAP = 10_000  # larger counts are shown as `10k+`


class MonitorSettings(Protocol):
    """The settings of `[monitor]` that the history needs."""

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
    """One history file, for any number of threads and processes. `clock` returns UTC epoch seconds.

    Raises ValueError if `database_url` is not `sqlite:///FILE`.
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
        """Create, check and upgrade the file now instead of at the first use. A broken file is moved away."""
        self._status.prepare()

    def close(self) -> None:
        """Close the connection of this thread, if it has one. The next use opens another."""
        self._database.close()

    def recorder(
        self,
        source: Source,
        workers: Callable[[], Sequence[WorkerInfo]] | None = None,
        schedules: Callable[[], Iterable[Timetable]] | None = None,
    ) -> Recorder:
        """Return a recorder for the events of `source`: see recorder.Recorder.

        `workers` (such as `control.workers`) is called from time to time, so that a dead worker is shown for a day.
        `schedules` (such as `control.schedules.all`) is called for the outcomes of slots.
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
        """Return a job as of its last recorded event. Raises duey.errors.UnknownJob."""
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
        """The same as Control.jobs, over the whole history. Ask the control for live states."""
        return self._jobs.as_page(self._jobs.page(JobFilter(state=state, task=task, text=q, by=by), limit, cursor))

    def job_rows(self, wanted: JobFilter, limit: int = 50, cursor: str | None = None, deep: bool = False) -> JobRows:
        """Return a page of jobs, newest first, at most `limit` (1 to 500). `deep` searches 25 times as many jobs."""
        return self._jobs.page(wanted, limit, cursor, deep)

    def job_ids(self, wanted: JobFilter, limit: int = 500, cursor: str | None = None) -> tuple[list[str], str | None]:
        """Return (ids, next cursor or None) of matching jobs, at most `limit` (1 to 5,000) ids."""
        return self._jobs.ids(wanted, limit, cursor)

    def count(self, wanted: JobFilter, cap: int = 10_000) -> Count:
        """Return how many jobs match, counted up to `cap`. Without an index only some jobs are searched (capped)."""
        return self._jobs.count(wanted, cap)

    def state_counts(self, wanted: JobFilter | None = None) -> dict[str, Count]:
        """Return the number of matching jobs by state (duey.model.job.STATES). The state of the filter is ignored."""
        return self._jobs.state_counts(wanted or JobFilter(), CAP)

    def job_history(self, job_id: str) -> JobHistory:
        """Return a job with attempts, timeline and children. Raises duey.errors.UnknownJob."""
        return self._jobs.job_history(job_id)

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        """Return the attempts of a job, newest first, at most the last 100. Raises duey.errors.UnknownJob."""
        return self._jobs.attempts(job_id)

    def forget(self, job_id: str) -> None:
        """Delete an ended job from the history. Figures and error groups keep their counts.

        Raises duey.errors.UnknownJob or duey.errors.StateConflict.
        """
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
        """Return error groups, last seen first. `state`: open, muted or fixed. `q`: text in type or message."""
        return self._groups.page(state, task, q, limit, cursor)

    def error_group(self, fingerprint: str) -> ErrorGroup | None:
        """Return an error group, or None if it does not exist."""
        return self._groups.get(fingerprint)

    def mark_group(self, fingerprint: str, state: str) -> ErrorGroup | None:
        """Set a group to `open`, `muted` or `fixed`, else ValueError; return it, or None if it does not exist.

        A fixed group that fails again is opened and gets `regressed_at`; a muted one stays muted.
        """
        return self._groups.mark(fingerprint, state)

    def open_groups(self) -> Count:
        """Return the number of open error groups."""
        return self._groups.count_open(CAP)

    # figures

    def tasks(self, window_s: float = DAY_S) -> tuple[TaskFigures, ...]:
        """Return every task with an event in the window (up to 30 days), the largest total run time first."""
        return self._figures.tasks(window_s)

    def task(self, name: str, window_s: float = DAY_S, steps: int = 48) -> TaskHistory | None:
        """Return a task by short or full name, in equal steps of whole minutes or hours, or None if it is unknown."""
        return self._figures.task(name, window_s, steps)

    def totals(self, window_s: float = DAY_S) -> Outcomes:
        """Return the outcomes of all tasks in the window that ends now."""
        return self._figures.totals(window_s)

    def minutes(self, count: int = 60, task: str | None = None) -> tuple[Interval, ...]:
        """Return the last minutes (up to 2,880), oldest first, with the current minute and empty ones."""
        return self._charts.minutes(count, task)

    def days(self, count: int = 30, zone: tzinfo = timezone.utc, task: str | None = None) -> tuple[Interval, ...]:
        """Return the last days (up to 366) in the zone, oldest first, with today and empty ones."""
        return self._charts.days(count, zone, task)

    def waits(self, count: int = 60) -> tuple[Waits, ...]:
        """Return how long jobs had waited, by the minute of their start, oldest first, with empty minutes."""
        return self._charts.waits(count)

    def slowest(self, window_s: float = DAY_S, limit: int = 5) -> tuple[TaskFigures, ...]:
        """Return the tasks with the largest p95 of run time."""
        found = [figures for figures in self.tasks(window_s) if figures.run.count]
        return tuple(sorted(found, key=lambda figures: -(figures.run.p95_ms or 0))[:limit])

    def most_failing(self, window_s: float = DAY_S, limit: int = 5) -> tuple[TaskFigures, ...]:
        """Return the tasks with the most failed attempts, also retried ones. Tasks without failures are left out."""
        found = [figures for figures in self.tasks(window_s) if figures.failures]
        return tuple(sorted(found, key=lambda figures: -figures.failures)[:limit])

    # visits

    def note_visit(self, account: str) -> float | None:
        """Note that the account looks at a page; return when its previous visit ended, or None for the first visit.

        A visit ends half an hour after its last page. Never raises or waits: if the file is locked, nothing is
        written.
        """
        return self._last_seen.note_visit(account)

    def failed_since(self, at: float) -> Count:
        """Return how many jobs failed after `at` and are still failed."""
        return self._jobs.failed_since(at, CAP)

    # workers, slots, retention

    def seen_workers(self) -> tuple[SeenWorker, ...]:
        """Return the worker processes of the last day as they were last seen, newest first, live ones included."""
        return self._workers.seen()

    def slots(
        self, schedule: str | None = None, limit: int = 60, outcomes: Sequence[str] | None = None
    ) -> tuple[Slot, ...]:
        """Return the last slots of one schedule or of all, newest first. They may be some seconds old."""
        return self._slots.newest(schedule, outcomes, limit)

    def kept(self) -> Kept:
        """Return what the history holds, what retention deleted, and the size of the file."""
        return self._status.kept()

    def health(self) -> HistoryHealth:
        """Return whether the history can be read and recorded, with problems and warnings. Never raises."""
        return self._status.health()

    def prune(self) -> Pruned:
        """Delete all that retention allows now, in small steps, and return free space to the disk."""
        return Retention(self._database, self._settings, self._clock).prune()
