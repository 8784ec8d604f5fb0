"""Figures of tasks over a window of time, and charts over time, summed from stored minutes, hours or days.

Windows up to 3 hours are read from minutes, up to 4 days from hours, longer ones from days. A window therefore
begins with a whole minute, hour or day (UTC), and no call reads more than a few thousand rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Any

import peewee
from peewee import fn

from duey.monitor.history.columns import FIGURE_COUNTS, FIGURE_VALUES
from duey.monitor.history.figure_values import (
    Distribution,
    Interval,
    Outcomes,
    TaskFigures,
    TaskHistory,
    TaskStep,
    Waits,
)
from duey.monitor.history.queries import Queries
from duey.monitor.history.queries.views import Names
from duey.monitor.history.schema import DAY_S, FIGURES, HOUR_S, MINUTE_S, TASKS
from duey.monitor.history.tallies import BUCKETS, Tally, add_written, percentile_ms

F = FIGURES.c
MAX_WINDOW_S = 366 * DAY_S
SPARKS = 30
MAX_STEPS = 200


class Figures(Queries):
    """Reads figures of tasks."""

    def tasks(self, window_s: float = DAY_S) -> tuple[TaskFigures, ...]:
        """Return every task with an event in the window (up to a year), the largest total run time first."""
        window = Window(self._clock(), window_s)
        spark_s = window.step_s(SPARKS)
        steps: dict[str, dict[int, Tally]] = {}
        with self._database.reading() as db:
            names, seen = Names(db), _seen(db)
            for task, at, *row in window.read(db):
                steps.setdefault(task, {}).setdefault(window.step_of(at, spark_s), Tally()).add_row(row)
        shown = [_figures(names, task, parts, window, spark_s, seen.get(task)) for task, parts in steps.items()]
        return tuple(sorted(shown, key=lambda figures: (-figures.total_run_ms, figures.qualname)))

    def task(self, name: str, window_s: float = DAY_S, steps: int = 48) -> TaskHistory | None:
        """Return a task by short or full name, in equal steps of whole minutes or hours, or None if it is unknown."""
        with self._database.reading() as db:
            names, seen = Names(db), _seen(db)
            found = [task for task in names.find(name) if task in seen]
            if not found:
                return None
            # One task has few rows, so its minutes are read for up to a day.
            window = Window(self._clock(), window_s, minutes_up_to_s=DAY_S)
            step_s = window.step_s(max(1, min(steps, MAX_STEPS)))
            parts: dict[int, Tally] = {}
            for _, at, *row in window.read(db, found[0]):
                parts.setdefault(window.step_of(at, step_s), Tally()).add_row(row)
        shown = tuple(
            TaskStep(window.start + i * step_s, outcomes(part), distribution(part))
            for i in range(window.steps(step_s))
            for part in [parts.get(i) or Tally()]
        )
        return TaskHistory(_figures(names, found[0], parts, window, step_s, seen[found[0]]), step_s, shown)

    def totals(self, window_s: float = DAY_S) -> Outcomes:
        """Return the outcomes of all tasks in the window that ends now."""
        window = Window(self._clock(), window_s)
        with self._database.reading() as db:
            row = db.execute_sql(TOTALS, (window.tier_s, window.start, window.until)).fetchone()
        return Outcomes(*(count or 0 for count in row))


SUMS = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in FIGURE_COUNTS)  # PostgreSQL sums up to a decimal
TOTALS = f"SELECT {SUMS} FROM figures WHERE tier_s = ? AND at BETWEEN ? AND ?"


class Window:
    """A window of time that ends now and begins with a whole minute, hour or day."""

    def __init__(self, now: float, window_s: float, minutes_up_to_s: float = 0.0) -> None:
        window_s = max(float(MINUTE_S), min(window_s, MAX_WINDOW_S))
        whole_s = MINUTE_S if window_s <= 3 * HOUR_S else HOUR_S if window_s <= 4 * DAY_S else DAY_S
        self.tier_s = MINUTE_S if window_s <= minutes_up_to_s else whole_s
        self.now = now
        self.until = math.floor(now)
        self.start = int((now - window_s) // whole_s + 1) * whole_s  # whatever it is read from, so that sums agree

    @property
    def length_s(self) -> float:
        return max(1.0, self.now - self.start)

    def step_s(self, steps: int) -> int:
        """Return the length of a step in seconds, in whole minutes, hours or days, for at most so many steps."""
        return math.ceil(self.length_s / steps / self.tier_s) * self.tier_s

    def steps(self, step_s: int) -> int:
        return math.ceil(self.length_s / step_s)

    def step_of(self, at: float, step_s: int) -> int:
        return int((at - self.start) // step_s)

    def read(self, db: peewee.Database, task: str | None = None) -> Iterable[tuple[Any, ...]]:
        """Yield (task, time, *values) of each row. Future rows are left out: the clock may have been set back."""
        query = FIGURES.select(F.task, F.at, *(getattr(F, name) for name in FIGURE_VALUES)).where(
            (F.tier_s == self.tier_s) & (F.at >= self.start) & (F.at <= self.until)
        )
        if task is not None:
            query = query.where(F.task == task)
        rows: Iterable[tuple[Any, ...]] = query.tuples().execute(db)
        return rows


def outcomes(tally: Tally) -> Outcomes:
    return Outcomes(*(getattr(tally, name) for name in FIGURE_COUNTS))


def distribution(tally: Tally) -> Distribution:
    return _distribution(tally.run_buckets, tally.run_ms, tally.run_max_ms)


def _distribution(counts: list[int], sum_ms: float, max_ms: float) -> Distribution:
    return Distribution(
        sum(counts), sum_ms, max_ms, percentile_ms(counts, 0.50, max_ms),
        percentile_ms(counts, 0.95, max_ms), tuple(counts),
    )  # fmt: skip


def _figures(
    names: Names, task: str, parts: dict[int, Tally], window: Window, step_s: int, seen: tuple[float, float] | None
) -> TaskFigures:
    first_at, last_at = seen or (window.start, None)
    since_s = max(1.0, window.now - max(window.start, first_at))
    whole = Tally()
    for part in parts.values():
        whole.add(part)
    steps = [parts.get(i) for i in range(window.steps(step_s))]
    return TaskFigures(
        task=names.short(task), qualname=task, window_s=window.length_s, outcomes=outcomes(whole),
        rate_per_s=whole.ended / since_s, run=distribution(whole),
        wait=_distribution(whole.wait_buckets, whole.wait_ms, whole.wait_max_ms), total_run_ms=whole.run_ms,
        sparkline=tuple(step.ended if step else 0 for step in steps),
        sparkline_failed=tuple(step.failed + step.retried if step else 0 for step in steps), last_at=last_at,
    )  # fmt: skip


def _seen(db: peewee.Database) -> dict[str, tuple[float, float]]:
    """Return when each task was first and last seen."""
    rows: Any = TASKS.select(TASKS.c.qualname, TASKS.c.first_at, TASKS.c.last_at).tuples().execute(db)
    return {task: (first_at, last_at) for task, first_at, last_at in rows}


F = FIGURES.c
MAX_MINUTES = 48 * 60
MAX_DAYS = 366


class Charts(Queries):
    """Reads outcomes by minute and by day, and waiting times by minute; empty ones are included."""

    def minutes(self, count: int = 60, task: str | None = None) -> tuple[Interval, ...]:
        """Return the last minutes (up to 2,880), oldest first, with the current minute and empty ones."""
        starts = self._last_minutes(count)
        found = self._sums(MINUTE_S, starts[0], task)
        return tuple(Interval(at, found.get(at, Outcomes()), at < starts[-1]) for at in starts)

    def days(self, count: int = 30, zone: tzinfo = timezone.utc, task: str | None = None) -> tuple[Interval, ...]:
        """Return the last days (up to 366) in the zone, oldest first, with today and empty ones."""
        today = datetime.fromtimestamp(self._clock(), zone).date()
        dates = [today - timedelta(days=i) for i in reversed(range(max(1, min(count, MAX_DAYS))))]
        starts = {date: datetime.combine(date, time(), zone).timestamp() for date in dates}
        # Stored days are days in UTC. For another zone, days are summed from hours.
        tier_s = DAY_S if str(zone) == "UTC" else HOUR_S
        sums: dict[Any, list[int]] = {}
        for at, outcomes in self._sums(tier_s, int(starts[dates[0]]), task).items():
            total = sums.setdefault(datetime.fromtimestamp(at, zone).date(), [0] * len(FIGURE_COUNTS))
            for i, name in enumerate(FIGURE_COUNTS):
                total[i] += getattr(outcomes, name)
        return tuple(Interval(starts[date], Outcomes(*sums.get(date, [])), date != today) for date in dates)

    def waits(self, count: int = 60) -> tuple[Waits, ...]:
        """Return how long jobs had waited, by the minute of their start, oldest first, with empty minutes."""
        starts = self._last_minutes(count)
        counts = {at: [0] * BUCKETS for at in starts}
        longest = dict.fromkeys(starts, 0.0)
        query = FIGURES.select(F.at, F.wait_buckets, F.wait_max_ms).where(
            (F.tier_s == MINUTE_S) & (F.at >= starts[0]) & (F.at <= starts[-1])
        )
        with self._database.reading() as db:
            for at, text, max_ms in query.tuples().execute(db):
                add_written(counts[at], text)
                longest[at] = max(longest[at], max_ms)
        return tuple(
            Waits(
                at, sum(counts[at]), percentile_ms(counts[at], 0.50, longest[at]),
                percentile_ms(counts[at], 0.95, longest[at]), longest[at] if any(counts[at]) else None,
            )
            for at in starts
        )  # fmt: skip

    def _last_minutes(self, count: int) -> list[int]:
        now = int(self._clock() // MINUTE_S) * MINUTE_S
        return [now - i * MINUTE_S for i in reversed(range(max(1, min(count, MAX_MINUTES))))]

    def _sums(self, tier_s: int, start: int, task: str | None) -> dict[int, Outcomes]:
        query = FIGURES.select(F.at, *(fn.SUM(getattr(F, name)).cast("BIGINT") for name in FIGURE_COUNTS)).where(
            (F.tier_s == tier_s) & (F.at >= start)
        )
        with self._database.reading() as db:
            if task is not None:
                query = query.where(F.task.in_(Names(db).find(task)))
            rows = query.group_by(F.at).tuples().execute(db)
            return {at: Outcomes(*counts) for at, *counts in rows}
