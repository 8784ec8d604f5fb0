"""Charts: outcomes by minute and by day, and waiting times by minute. Empty steps are included."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta, tzinfo
from typing import Any

from peewee import fn

from duey.monitor.history import buckets
from duey.monitor.history.database import Database
from duey.monitor.history.figure_values import Interval, Outcomes, Waits
from duey.monitor.history.queries.names import Names
from duey.monitor.history.schema import DAY_S, FIGURE_COUNTS, FIGURES, HOUR_S, MINUTE_S

F = FIGURES.c
MAX_MINUTES = 48 * 60
MAX_DAYS = 366


class Charts:
    """Reads charts. Every method may raise HistoryUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def minutes(self, count: int, task: str | None) -> tuple[Interval, ...]:
        starts = self._last_minutes(count)
        found = self._sums(MINUTE_S, starts[0], task)
        return tuple(Interval(at, found.get(at, Outcomes()), at < starts[-1]) for at in starts)

    def days(self, count: int, zone: tzinfo, task: str | None) -> tuple[Interval, ...]:
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

    def waits(self, count: int) -> tuple[Waits, ...]:
        starts = self._last_minutes(count)
        counts = {at: [0] * buckets.BUCKETS for at in starts}
        longest = dict.fromkeys(starts, 0.0)
        query = FIGURES.select(F.at, F.wait_buckets, F.wait_max_ms).where(
            (F.tier_s == MINUTE_S) & (F.at >= starts[0]) & (F.at <= starts[-1])
        )
        with self._database.reading() as db:
            for at, text, max_ms in query.tuples().execute(db):
                buckets.add_written(counts[at], text)
                longest[at] = max(longest[at], max_ms)
        return tuple(
            Waits(
                at, sum(counts[at]), buckets.percentile_ms(counts[at], 0.50, longest[at]),
                buckets.percentile_ms(counts[at], 0.95, longest[at]), longest[at] if any(counts[at]) else None,
            )
            for at in starts
        )  # fmt: skip

    def _last_minutes(self, count: int) -> list[int]:
        now = int(self._clock() // MINUTE_S) * MINUTE_S
        return [now - i * MINUTE_S for i in reversed(range(max(1, min(count, MAX_MINUTES))))]

    def _sums(self, tier_s: int, start: int, task: str | None) -> dict[int, Outcomes]:
        query = FIGURES.select(F.at, *(fn.SUM(getattr(F, name)) for name in FIGURE_COUNTS)).where(
            (F.tier_s == tier_s) & (F.at >= start)
        )
        with self._database.reading() as db:
            if task is not None:
                query = query.where(F.task.in_(Names(db).find(task)))
            rows = query.group_by(F.at).tuples().execute(db)
            return {at: Outcomes(*counts) for at, *counts in rows}
