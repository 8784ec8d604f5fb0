"""Reads how the service is now: queues, consumers, running jobs, schedules, and how far recording is behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import peewee

from duey.alerts.rules.schedules import UNDECIDED
from duey.alerts.rules.snapshot import EACH, NEVER, Away, Live, Occurrence, QueueSeen, RunningJob, ScheduleSeen
from duey.config.alerts import Alerts
from duey.control.service import Control
from duey.errors import StorageUnavailable
from duey.model.job import WorkerInfo
from duey.monitor.history.schema import DAY_S
from duey.monitor.history.tallies import BUCKETS, add_written, percentile_ms
from duey.tasks import drill

OCCURRENCES = 12  # of each schedule
LONG_S = 60.0  # no job that runs for a shorter time is slow
RUNS = 20  # fewer runs in a week say nothing about a task
P95_KEPT_S = 600.0

SLOTS = """SELECT s.at, s.outcome, s.job_id, s.reason, j.enqueued_at, j.started_at, j.error_type, j.error_message,
    j.task
    FROM slots s LEFT JOIN jobs j ON j.id = s.job_id WHERE s.schedule = ? ORDER BY s.at DESC LIMIT ?"""
CONSUMERS = "SELECT MAX(seen_at) FROM workers"
RUN_TIMES = "SELECT run_buckets, run_max_ms FROM figures WHERE task = ? AND tier_s = ? AND at >= ?"


class LiveReader:
    """Reads the present state. It remembers since when no consumer ran, and since when nothing was recorded."""

    def __init__(self, control: Control, began_at: float, options: Alerts) -> None:
        self._control, self._began_at, self._options = control, began_at, options
        self._consumer_at: float | None = None
        self._away: Away | None = None
        self._behind: tuple[float | None, float] | None = None  # recorded_at, and since when it has not moved
        self._p95: dict[str, tuple[float, float | None]] = {}  # by task: when it was read, and the value

    def read(self, db: peewee.Database, now: float, recorded_at: float | None) -> Live | Away:
        """Return the state, or since when the storage of the queue cannot be used. Raises HistoryUnavailable."""
        try:
            workers = [each for each in self._control.workers() if each.alive and each.worker_type != "alone"]
            queues = self._control.queues()
            names = [row.name for row in self._control.storage.schedule_store.schedules() if not row.paused]
            events = self._control.counts().events
            schedules_since = self._control.schedules.standing_since(workers)
        except StorageUnavailable as error:
            self._away = Away(now if self._away is None else self._away.since, str(error))
            return self._away
        self._away = None
        alerts = alerts_of(self._control)
        return Live(
            tuple(QueueSeen(q.name, q.waiting, q.oldest_age_s or 0.0) for q in queues if not q.paused),
            self._consumer_seen_at(db, workers, now),
            tuple(self._running(db, workers, now)) if self._options.slow_factor is not None else (),
            tuple(ScheduleSeen(name, self._occurrences(db, name, alerts, now)) for name in names),
            self._unrecorded_s(events, recorded_at, now),
            events,
            schedules_since,
        )

    def _occurrences(
        self, db: peewee.Database, schedule: str, alerts: Mapping[str, str], now: float
    ) -> tuple[Occurrence, ...]:
        rows: Any = db.execute_sql(SLOTS, (schedule, OCCURRENCES)).fetchall()
        found = [_occurrence(row, alerts) for row in rows]
        for n, each in enumerate(found):
            if each.outcome in UNDECIDED:
                if now - each.at > self._options.late_s:
                    found[n] = self._with_start(each)
                break  # older ones start before it
        return tuple(found)

    def _with_start(self, each: Occurrence) -> Occurrence:
        """Add when its run started, which the history knows only when that has ended. Where nobody knows it any more
        (the job was tried before, or was removed), the outcome is left open."""
        if each.started_at is not None or each.outcome == "waiting":
            return each
        try:
            stored = self._control.storage.get_job(each.job_id or "")
        except StorageUnavailable:
            stored = None
        if stored is None or stored.job.attempt > int(stored.finished_at is not None):
            return each._replace(outcome="unknown")
        return each._replace(started_at=stored.started_at)

    def _consumer_seen_at(self, db: peewee.Database, workers: Sequence[WorkerInfo], now: float) -> float | None:
        if any(each.workers for each in workers):
            self._consumer_at = now
            return None
        if self._consumer_at is None:  # none since this process started, which has to start one first
            seen_at = db.execute_sql(CONSUMERS).fetchone()[0] or 0.0
            self._consumer_at = max(seen_at, self._began_at)
        return self._consumer_at

    def _unrecorded_s(self, events: int, recorded_at: float | None, now: float) -> float:
        if not events:
            self._behind = None
            return 0.0
        if self._behind is None or self._behind[0] != recorded_at:
            self._behind = (recorded_at, now)
        return now - self._behind[1]

    def _running(self, db: peewee.Database, workers: Sequence[WorkerInfo], now: float) -> list[RunningJob]:
        return [
            RunningJob(job.job_id, job.task, job.started_at, self._p95_of(db, job.task, now))
            for worker in workers
            for job in worker.running
            if job.started_at is not None and now - job.started_at > LONG_S
        ]

    def _p95_of(self, db: peewee.Database, task: str, now: float) -> float | None:
        read_at, value = self._p95.get(task, (0.0, None))
        if now - read_at > P95_KEPT_S:
            counts, longest = [0] * BUCKETS, 0.0
            for text, max_ms in db.execute_sql(RUN_TIMES, (task, DAY_S, int(now - 7 * DAY_S))).fetchall():
                add_written(counts, text)
                longest = max(longest, max_ms)
            value = percentile_ms(counts, 0.95, longest) if sum(counts) >= RUNS else None
            self._p95[task] = (now, value)
        return value


def alerts_of(control: Control) -> Mapping[str, str]:
    """Return the option `alert` of the tasks that set one, by full name. Each drill is told."""
    known = control.known
    return {drill.TASK: EACH, **{known.full(cls): cls.alert for cls in known.all() if hasattr(cls, "alert")}}


def _occurrence(row: Any, alerts: Mapping[str, str]) -> Occurrence:
    made = Occurrence(*row[:6])._replace(error=f"{row[6]}: {row[7]}" if row[6] else "")
    is_untold = made.outcome == "failed" and alerts.get(row[8]) == NEVER
    return made._replace(outcome="canceled") if is_untold else made
