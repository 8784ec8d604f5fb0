"""The overview: is it healthy, what failed, what runs, what comes next, and did anything not run that should have?

The upper region is what is true now, from the engine; the lower one is history, from the books. Each can be shown
without the other: when the books are away the page says so, and shows what it can.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import StorageUnavailable
from engine.jobs import Counts
from engine.timetables import Schedule, Slot
from monitor.records import Count, Interval, TaskFigures, Waits
from monitor.web import charts
from monitor.web.figures import number, plural
from monitor.web.healthy import Health, Situation, judge
from monitor.web.house import House
from monitor.web.pages.schedules import short_name
from monitor.web.recent import Recent
from monitor.web.route import Route, look
from monitor.web.text import Html
from monitor.web.times import DAY_S, duration
from monitor.web.view import View
from monitor.web.visit import Visit

T = TypeVar("T")
MINUTES, DAYS, LISTED = 60, 30, 5
KEPT_S, HEALTH_KEPT_S = 10.0, 5.0  # what takes tens of milliseconds to ask, and changes slowly


class OverviewPage:
    """GET /."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._schedules = Recent(house.control.schedules.all, KEPT_S, house.clock)
        self._figures = Recent(lambda: house.books.tasks(DAY_S), KEPT_S, house.clock)
        self._books_health = Recent(house.books.health, HEALTH_KEPT_S, house.clock)

    def routes(self) -> list[Route]:
        return [look("/", self.show)]

    def show(self, visit: Visit) -> View:
        data: dict[str, Any] = {}
        more: dict[str, Any] = {}
        if visit.fragment != "history":
            self._now(visit, data, more)
        if visit.fragment != "now":
            self._history(visit, data, more)
        return View("overview", "Overview", data, more, "overview", ("now", "history"))

    # what is true now

    def _now(self, visit: Visit, data: dict[str, Any], more: dict[str, Any]) -> None:
        situation = self._situation(visit)
        health, counts = judge(situation), situation.counts
        totals = self._asked(lambda: self._house.books.totals(DAY_S))
        data["health"] = {"level": health.level, "sentence": health.text(visit.now), "lines": health.lines}
        data["counts"] = counts
        data["failed_24h"], data["done_24h"] = totals and totals.failed, totals and totals.done
        more["health_said"] = self._said(visit, health)
        more["oldest_at"] = counts.oldest_queued_at if counts else None

    def _situation(self, visit: Visit) -> Situation:
        control, books = self._house.control, self._house.books
        counts: Counts | None = None
        try:
            counts = control.counts()
            health = control.health()
            workers, tasks, queues = control.workers(), control.tasks(), control.queues()
        except StorageUnavailable as error:
            return Situation(visit.now, None, problems=(str(error),), books=self._books_health.get())
        visited = books.visit(visit.who)
        since = visited if visited is not None else visit.now - DAY_S
        failed = self._asked(lambda: books.failed_since(since)) or Count(0)
        missed = [slot for _, slot in self._missed() if slot.at >= since]
        return Situation(
            visit.now,
            counts,
            workers,
            tasks,
            queues,
            (),
            health.warnings,
            self._books_health.get(),
            failed,
            visited is not None,
            self._asked(books.seen_workers) or (),
            missed,
        )

    def _said(self, visit: Visit, health: Health) -> list[tuple[str, Html, str]]:
        return [
            (each.text, visit.times.running(each.since) if each.since else Html(""), each.tail)
            for each in health.clauses
        ]

    # history

    def _history(self, visit: Visit, data: dict[str, Any], more: dict[str, Any]) -> None:
        books, house = self._house.books, self._house
        minutes = self._asked(lambda: books.minutes(MINUTES)) or ()
        days = self._asked(lambda: books.days(DAYS, house.zone)) or ()
        waits = self._asked(lambda: books.waits(MINUTES)) or ()
        schedules = self._asked(self._schedules.get) or []
        due = _due(schedules)
        data["minutes"] = [_interval(each) for each in minutes]
        data["days"] = [_interval(each) for each in days]
        data["waits"] = waits
        figures = self._asked(self._figures.get) or ()
        failing = [each for each in figures if _failures(each)]
        data["slowest"] = sorted(figures, key=lambda each: -(each.run.p95_ms or 0))[:LISTED]
        data["most_failing"] = sorted(failing, key=lambda each: -_failures(each))[:LISTED]
        data["next"] = [{"at": at, "schedule": name} for at, name in due]
        data["missed"] = [{"schedule": name, "slot": slot} for name, slot in self._missed()[:LISTED]]
        data["storage"] = self._storage()
        counts = self._asked(house.control.counts)
        oldest = counts.oldest_queued_at if counts else None
        level = _stepped((visit.now - oldest) * 1000) if oldest is not None else None
        more["minutes_chart"] = self._bars(visit, minutes, "%H:%M", "minute")
        more["days_chart"] = self._bars(visit, days, "%d %b", "day")
        more["waits_chart"] = _waits(visit, waits, level)
        more["queue_age_ms"] = level

    def _missed(self) -> list[tuple[str, Slot]]:
        """Missed slots with the names of their schedules, newest first."""
        schedules = self._asked(self._schedules.get) or []
        missed = [(each.name, slot) for each in schedules for slot in each.slots if slot.outcome == "missed"]
        return sorted(missed, key=lambda entry: -entry[1].at)

    def _bars(self, visit: Visit, past: tuple[Interval, ...], form: str, unit: str) -> Html:
        names = [datetime.fromtimestamp(each.at, self._house.zone).strftime(form) for each in past]
        tips = [
            f"{name}: {number(each.outcomes.done)} done, {number(each.outcomes.failed)} failed"
            for name, each in zip(names, past, strict=True)
        ]
        done, failed = sum(each.outcomes.done for each in past), sum(each.outcomes.failed for each in past)
        label = f"{plural(len(past), unit)}: {number(done)} jobs done, {number(failed)} failed"
        axis = (names[0], names[len(names) // 2], "now" if unit == "minute" else "today") if names else ("", "")
        bars = [(each.outcomes.done, each.outcomes.failed) for each in past]
        return charts.stacked(bars, tips, axis, label, unfinished=bool(past) and not past[-1].complete)

    def _storage(self) -> dict[str, Any]:
        counts = self._asked(self._house.control.counts)
        kept = self._asked(self._house.books.kept)
        return {
            "queue": self._queue_file(),
            "books": kept,
            "unrecorded_events": counts.events if counts else None,
        }

    def _queue_file(self) -> dict[str, Any] | None:
        storage = self._house.settings.storage
        if storage.backend != "sqlite":
            return None
        path = Path(storage.path)
        try:
            free: int | None = shutil.disk_usage(path.parent).free
        except OSError:
            free = None
        return {"file_bytes": _bytes(path), "wal_bytes": _bytes(Path(f"{path}-wal")), "disk_free_bytes": free}

    def _asked(self, question: Callable[[], T]) -> T | None:
        """What books or engine answer, or None while they are away: the sentence on top tells that."""
        try:
            return question()
        except StorageUnavailable:
            return None


def _due(schedules: Sequence[Schedule]) -> list[tuple[float, str]]:
    """The next slots: first one of each schedule, so that a frequent one does not push out the others."""
    running = [(short_name(each.name), each.next_at) for each in schedules if each.next_at and not each.paused]
    first = sorted((next_at[0], name) for name, next_at in running)[:LISTED]
    later = sorted((at, name) for name, next_at in running for at in next_at[1:])
    return sorted(first + later[: LISTED - len(first)])


def _failures(each: TaskFigures) -> int:
    return each.outcomes.failed + each.outcomes.retried


def _interval(each: Interval) -> dict[str, Any]:
    return {"at": each.at, "done": each.outcomes.done, "failed": each.outcomes.failed, "complete": each.complete}


def _waits(visit: Visit, waits: tuple[Waits, ...], level: float | None) -> Html:
    names = [visit.times.clock(each.at) for each in waits]
    tips = [
        f"{name}: half waited {duration(each.p50_ms)}, 95 % {duration(each.p95_ms)} or less"
        for name, each in zip(names, waits, strict=True)
    ]
    axis = (names[0], names[len(names) // 2], "now") if names else ("", "")
    worst = max((each.p95_ms or 0 for each in waits), default=0)
    label = f"Wait for a worker over {plural(len(waits), 'minute')}, at worst {duration(worst)} for 95 % of a minute"
    series = (("p95", [each.p95_ms for each in waits]), ("p50", [each.p50_ms for each in waits]))
    return charts.lines(series, tips, axis, label, level)


def _stepped(ms: float) -> float:
    """In steps of a tenth, which the eye cannot tell: else the region would be new at every look."""
    return 1.1 ** round(math.log(max(ms, 1.0), 1.1))


def _bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
