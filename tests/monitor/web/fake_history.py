"""Books in memory: the questions of duey.monitor.history.History, answered from lists that a test fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timezone, tzinfo
from typing import Any

from duey.errors import StateConflict, UnknownJob
from duey.model.job import ENDED, STATES, Job, Page
from duey.monitor.history import (
    Attempt,
    Count,
    ErrorGroup,
    ErrorGroups,
    History,
    HistoryHealth,
    Interval,
    JobFilter,
    JobHistory,
    JobRow,
    JobRows,
    Kept,
    Outcomes,
    SeenWorker,
    Slot,
    Step,
    TaskFigures,
    TaskHistory,
    Waits,
)


class FakeHistory(History):
    """Everything lives in lists and dicts; `away`, when it is set, is raised by every question."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.rows: list[JobRow] = []  # newest first
        self.attempts_of: dict[str, tuple[Attempt, ...]] = {}
        self.timeline_of: dict[str, tuple[Step, ...]] = {}
        self.groups: list[ErrorGroup] = []
        self.figures: list[TaskFigures] = []
        self.histories: dict[str, TaskHistory] = {}
        self.past_minutes: tuple[Interval, ...] = ()
        self.past_days: tuple[Interval, ...] = ()
        self.past_waits: tuple[Waits, ...] = ()
        self.seen: tuple[SeenWorker, ...] = ()
        self.all_slots: tuple[Slot, ...] = ()
        self.problems: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.last_visit: float | None = None
        self.away: Exception | None = None
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def _reach(self) -> None:
        if self.away:
            raise self.away

    # jobs

    def job(self, job_id: str) -> Job:
        return self.job_history(job_id).row.job

    def jobs(
        self,
        state: str | None = None,
        task: str | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        by: str | None = None,
    ) -> Page:
        page = self.job_rows(JobFilter(state=state, task=task, text=q, by=by), limit, cursor)
        return Page(tuple(row.job for row in page.rows), page.next)

    def job_rows(self, wanted: JobFilter, limit: int = 50, cursor: str | None = None) -> JobRows:
        found = [row for row in self._found(wanted) if cursor is None or row.n < int(cursor)]
        page = tuple(found[:limit])
        return JobRows(page, str(page[-1].n) if len(found) > limit else None)

    def job_ids(self, wanted: JobFilter, limit: int = 500, cursor: str | None = None) -> tuple[list[str], str | None]:
        page = self.job_rows(wanted, limit, cursor)
        return [row.job.id for row in page.rows], page.next

    def count(self, wanted: JobFilter, cap: int = 10_000) -> Count:
        number = len(self._found(wanted))
        return Count(min(number, cap), number > cap)

    def state_counts(self, wanted: JobFilter | None = None) -> dict[str, Count]:
        asked = wanted or JobFilter()
        return {state: self.count(replace(asked, state=state)) for state in STATES}

    def _found(self, wanted: JobFilter) -> list[JobRow]:
        self._reach()
        return [row for row in self.rows if matches(row, wanted)]

    def job_history(self, job_id: str) -> JobHistory:
        self._reach()
        for row in self.rows:
            if row.job.id == job_id:
                children = tuple(each for each in self.rows if each.job.parent == job_id)
                return JobHistory(
                    row, self.attempts_of.get(job_id, ()), self.timeline_of.get(job_id, ()), children[:50]
                )
        raise UnknownJob(job_id)

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        return self.job_history(job_id).attempts

    def forget(self, job_id: str) -> None:
        job = self.job(job_id)
        if job.state not in ENDED:
            raise StateConflict(job_id, "delete", job.state)
        self.rows = [row for row in self.rows if row.job.id != job_id]

    # errors

    def error_groups(
        self,
        state: str | None = None,
        task: str | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ErrorGroups:
        self._reach()
        found = [
            group
            for group in self.groups
            if state in (None, group.state)
            and task in (None, group.task, group.qualname)
            and (q or "").lower() in f"{group.type} {group.message}".lower()
        ]
        first = int(cursor or 0)
        return ErrorGroups(
            tuple(found[first : first + limit]), str(first + limit) if len(found) > first + limit else None
        )

    def error_group(self, fingerprint: str) -> ErrorGroup | None:
        self._reach()
        return next((group for group in self.groups if group.fingerprint == fingerprint), None)

    def mark_group(self, fingerprint: str, state: str) -> ErrorGroup | None:
        self._reach()
        for index, group in enumerate(self.groups):
            if group.fingerprint == fingerprint:
                self.groups[index] = replace(group, state=state)
                return self.groups[index]
        return None

    # figures

    def tasks(self, window_s: float = 86400.0) -> tuple[TaskFigures, ...]:
        self._reach()
        return tuple(self.figures)

    def task(self, name: str, window_s: float = 86400.0, steps: int = 48) -> TaskHistory | None:
        self._reach()
        return self.histories.get(name)

    def totals(self, window_s: float = 86400.0) -> Outcomes:
        self._reach()
        every = [figures.outcomes for figures in self.figures]
        return Outcomes(**{name: sum(getattr(each, name) for each in every) for name in Outcomes.__dataclass_fields__})

    def minutes(self, count: int = 60, task: str | None = None) -> tuple[Interval, ...]:
        self._reach()
        return self.past_minutes

    def days(self, count: int = 30, zone: tzinfo = timezone.utc, task: str | None = None) -> tuple[Interval, ...]:
        self._reach()
        return self.past_days

    def waits(self, count: int = 60) -> tuple[Waits, ...]:
        self._reach()
        return self.past_waits

    def slowest(self, window_s: float = 86400.0, limit: int = 5) -> tuple[TaskFigures, ...]:
        return tuple(sorted(self.tasks(), key=lambda each: -(each.run.p95_ms or 0))[:limit])

    def most_failing(self, window_s: float = 86400.0, limit: int = 5) -> tuple[TaskFigures, ...]:
        failing = [each for each in self.tasks() if each.outcomes.failed + each.outcomes.retried]
        return tuple(sorted(failing, key=lambda each: -(each.outcomes.failed + each.outcomes.retried))[:limit])

    # visits

    def note_visit(self, account: str) -> float | None:
        return self.last_visit

    def failed_since(self, at: float) -> Count:
        return Count(sum(row.job.state == "failed" and row.changed_at > at for row in self.rows))

    # workers, slots, keeping

    def seen_workers(self) -> tuple[SeenWorker, ...]:
        self._reach()
        return self.seen

    def slots(
        self, schedule: str | None = None, limit: int = 60, outcomes: Sequence[str] | None = None
    ) -> tuple[Slot, ...]:
        self._reach()
        found = (slot for slot in self.all_slots if schedule in (None, slot.schedule))
        return tuple(slot for slot in found if outcomes is None or slot.outcome in outcomes)[:limit]

    def kept(self) -> Kept:
        self._reach()
        oldest = self.rows[-1].job.enqueued_at if self.rows else None
        now = self.clock()
        return Kept(
            len(self.rows),
            0,
            oldest,
            now - 40 * 86400,
            48_300_000,
            2_100_000,
            21_400_000_000,
            max((row.changed_at for row in self.rows), default=None),
        )

    def health(self) -> HistoryHealth:
        problems = (*self.problems, *([str(self.away)] if self.away else []))
        return HistoryHealth(not problems, problems, self.warnings)


def matches(row: JobRow, wanted: JobFilter) -> bool:
    """Whether a job is among those that are asked for."""
    job, error = row.job, row.job.error
    text = (wanted.text or "").lower()
    values: dict[str, Any] = {**{str(n): value for n, value in enumerate(job.args)}, **job.kwargs}
    return (
        wanted.state in (None, job.state)
        and wanted.task in (None, job.task, job.qualname)
        and wanted.queue in (None, job.queue)
        and wanted.error_type in (None, error.type if error else "")
        and wanted.fingerprint in (None, row.fingerprint)
        and (not text or text in f"{job.id} {job.qualname} {job.args} {job.kwargs}".lower())
        and (wanted.since is None or row.changed_at >= wanted.since)
        and (wanted.until is None or row.changed_at <= wanted.until)
        and wanted.parent in (None, job.parent)
        and wanted.by in (None, job.by)
        and all(str(values.get(key, "")).startswith(prefix) for key, prefix in wanted.args)
    )
