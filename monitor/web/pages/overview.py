"""The overview: health, failures, running jobs, next slots, and missed ones.

The upper region has the current state, from the engine, and the lower one the past, from the history. Each works
without the other. If the history is not available, the page says so.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from duey.alerts.drill import Drill
from duey.control.schedules import Schedule
from duey.model.job import Counts
from duey.monitor.history import History, Interval, Waits
from duey.monitor.web.display import charts
from duey.monitor.web.display.formats import DAY_S, Times, ago, duration, number, plural, size
from duey.monitor.web.display.healthy import Health, Situation, judge
from duey.monitor.web.display.text import Html
from duey.monitor.web.pages.schedule_pages.schedules import short_name
from duey.monitor.web.request import Request
from duey.monitor.web.route import Done, Route, View, get, unchanged
from duey.monitor.web.services import Recent, Services, history_etag
from duey.monitor.web.situation import LISTED, Reader, asked

REGIONS = ("now", "history")
NEAR_S = 60.0  # a start so near to a deploy belongs to it
MINUTES, DAYS = 60, 30
LITTLE_BYTES = 1 << 30
KEPT_S = 10.0  # cached, because it takes tens of milliseconds and changes slowly


class OverviewPage:
    """GET /."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._schedules = Recent(services.control.schedules.all, KEPT_S, services.clock)
        self._figures = Recent(lambda: services.history.tasks(DAY_S), KEPT_S, services.clock)
        self._reader = Reader(services.control, services.history, services.alerts, services.clock)
        self._drill = Recent(Drill(services.control, services.history, services.alerts).state, KEPT_S, services.clock)

    def routes(self) -> list[Route]:
        return [get("/", self.show), Route("POST", "/seen", self.seen)]

    def show(self, request: Request) -> View:
        reads = () if request.fragment == "history" else self._reader.reads
        if request.fragment != "now":
            reads = (*reads, self._services.control.counts, self._schedules.get)
        with self._services.control.storage.read_ahead(*reads):
            return self._show(request)

    def _show(self, request: Request) -> View:
        data: dict[str, Any] = {}
        more: dict[str, Any] = {}
        etag = self._etag(request) if request.fragment == "history" else ""
        if request.knows(etag):
            return unchanged("overview", etag)
        if request.fragment != "history":
            self._now(request, data, more)
        if request.fragment != "now":
            self._history(request, data, more)
        return View("overview", "Overview", data, more, "overview", REGIONS, etag=etag)

    def seen(self, request: Request) -> Done:
        self._services.history.mark_seen(request.who)
        return Done(self._services.links.to("/"), "All until now is marked as seen.")

    def _etag(self, request: Request) -> str:
        """Return the facts of the ETag: the history, how long the oldest job has waited, and what is due."""
        counts = asked(self._services.control.counts)
        if counts is None:
            return ""
        schedules = [(each.name, each.paused, each.next_at[:1]) for each in asked(self._schedules.get) or ()]
        return history_etag(self._services, request, _level(request, counts), counts.events > 0, schedules)

    # current state

    def _now(self, request: Request, data: dict[str, Any], more: dict[str, Any]) -> None:
        situation = self._situation(request)
        health, counts = judge(situation), situation.counts
        totals = asked(lambda: self._services.history.totals(DAY_S))
        failed = asked(lambda: self._services.history.failed_since(request.now - DAY_S))
        data["health"] = {"level": health.level, "sentence": health.text(request.now), "lines": health.lines}
        data["counts"] = counts
        data["failed_24h"], data["done_24h"] = failed, totals and totals.done
        data["errors"] = situation.troubles
        data["missed"] = situation.missed[:LISTED]
        more["health_clauses"] = self._clauses(request, health, situation)
        more["busy"], more["hands"] = situation.busy, situation.hands
        more["has_news"] = situation.since_visit and bool(situation.failed.number or situation.missed)
        more["since_text"] = "since your last visit" if situation.since_visit else "24 h"
        more["troubles"] = situation.troubles
        more["oldest_at"] = counts.oldest_queued_at if counts else None

    def _situation(self, request: Request) -> Situation:
        visited_at = self._services.history.note_visit(request.who, not request.fragment)
        found = self._reader.read(request.now, visited_at, request.times.clock)
        return replace(found, warnings=(*found.warnings, *self._disk(), *self._proof(request)))

    def _disk(self) -> list[str]:
        found = self._queue_file()
        free = found["disk_free_bytes"] if found else None
        return (
            [f"Only {size(free)} of disk are left for the queue."] if free is not None and free < LITTLE_BYTES else []
        )

    def _proof(self, request: Request) -> list[str]:
        """What the last fire drills proved."""
        found = asked(self._drill.get)
        if found is None:
            return []
        lines = [f"Alerts proven {ago(request.now - found.proven_at)}."] if found.proven_at is not None else []
        if found.failed_at is not None:
            lines.append(f"The last fire drill failed {ago(request.now - found.failed_at)}: {found.problem}.")
        return lines

    def _clauses(self, request: Request, health: Health, found: Situation) -> list[tuple[str, Html, str, str]]:
        links = self._services.links
        moment = datetime.fromtimestamp(found.failed_after, timezone.utc)
        since = moment.isoformat().replace("+00:00", "Z") if found.since_visit else "24h"
        pages = {
            "blocked": links.jobs(state="blocked"),
            "failed": links.jobs(state="failed", q=f"since:{since}"),
            "incidents": links.to("/alerts"),
            "missed": links.to("/schedules"),
            "waiting": links.jobs(state="queued"),
            "workers": links.to("/workers"),
        }
        return [
            (
                each.text,
                request.times.running(each.since) if each.since else Html(""),
                each.tail,
                pages.get(each.about, ""),
            )
            for each in health.clauses
        ]

    # history

    def _history(self, request: Request, data: dict[str, Any], more: dict[str, Any]) -> None:
        history, services = self._services.history, self._services
        minutes = asked(lambda: history.minutes(MINUTES)) or ()
        days = asked(lambda: history.days(DAYS, services.zone)) or ()
        waits = asked(lambda: history.waits(MINUTES)) or ()
        schedules = asked(self._schedules.get) or []
        due = _due(schedules)
        events = starts_of(history, request.now - DAYS * DAY_S)
        data["minutes"] = [_interval(each) for each in minutes]
        data["days"] = [_interval(each) for each in days]
        data["waits"] = waits
        figures = asked(self._figures.get) or ()
        failing = [each for each in figures if each.failures]
        data["slowest"] = sorted(figures, key=lambda each: -(each.run.p95_ms or 0))[:LISTED]
        data["most_failing"] = sorted(failing, key=lambda each: -each.failures)[:LISTED]
        data["next"] = [{"at": at, "schedule": name} for at, name in due]
        data["storage"] = self._storage()
        level = _level(request, asked(services.control.counts))
        more["minutes_chart"] = self._bars(request, minutes, "%H:%M", "minute", events)
        more["days_chart"] = self._bars(request, days, "%d %b", "day", events)
        more["waits_chart"] = _waits(request, waits, level, events)
        more["queue_age_ms"] = level

    def _bars(
        self, request: Request, past: tuple[Interval, ...], form: str, unit: str, events: Sequence[tuple[float, str]]
    ) -> Html:
        zone = request.times.zone if unit == "minute" else self._services.zone  # days are those of the service
        names = [datetime.fromtimestamp(each.at, zone).strftime(form) for each in past]
        tips = [
            f"{name}: {number(each.outcomes.done)} done, {number(each.outcomes.failed)} failed"
            for name, each in zip(names, past, strict=True)
        ]
        done, failed = sum(each.outcomes.done for each in past), sum(each.outcomes.failed for each in past)
        label = f"{plural(len(past), unit)}: {number(done)} jobs done, {number(failed)} failed"
        axis = (names[0], names[len(names) // 2], "now" if unit == "minute" else "today") if names else ("", "")
        bars = [(each.outcomes.done, each.outcomes.failed) for each in past]
        marks = marks_of(events, [each.at for each in past], request.times)
        return charts.stacked(bars, tips, axis, label, unfinished=bool(past) and not past[-1].complete, events=marks)

    def _storage(self) -> dict[str, Any]:
        counts = asked(self._services.control.counts)
        kept = asked(self._services.history.kept)
        return {
            "queue": self._queue_file(),
            "history": kept,
            "unrecorded_events": counts.events if counts else None,
        }

    def _queue_file(self) -> dict[str, Any] | None:
        storage = self._services.settings.storage
        if storage.backend != "sqlite":
            return None
        path = Path(storage.path)
        try:
            free: int | None = shutil.disk_usage(path.parent).free
        except OSError:
            free = None
        return {"file_bytes": _bytes(path), "wal_bytes": _bytes(Path(f"{path}-wal")), "disk_free_bytes": free}


def _due(schedules: Sequence[Schedule]) -> list[tuple[float, str]]:
    """Return the next slots, first one of each schedule, so that a frequent one does not hide the others."""
    running = [(short_name(each), each.next_at) for each in schedules if each.next_at and not each.paused]
    first = sorted((next_at[0], name) for name, next_at in running)[:LISTED]
    later = sorted((at, name) for name, next_at in running for at in next_at[1:])
    return sorted(first + later[: LISTED - len(first)])


def _interval(each: Interval) -> dict[str, Any]:
    return {"at": each.at, "done": each.outcomes.done, "failed": each.outcomes.failed, "complete": each.complete}


def starts_of(history: History, since: float) -> list[tuple[float, str]]:
    """Return when another code was first seen, and when consumers of the last day started, with a text for each."""
    found = [(at, f"new code {code[:12]}") for at, code in asked(lambda: history.deploys(since)) or ()]
    consumers: dict[str, tuple[float, str]] = {}
    for each in asked(history.seen_workers) or ():
        start = each.started_at, f"consumer started on {each.host[:40]}"
        consumers[each.consumer or each.id] = min(start, consumers.get(each.consumer or each.id, start))
    deployed = [at for at, _ in found]
    alone = [start for start in consumers.values() if not any(abs(start[0] - at) < NEAR_S for at in deployed)]
    return found + [(at, text) for at, text in alone if at >= since]


def marks_of(events: Sequence[tuple[float, str]], starts: Sequence[float], times: Times) -> list[tuple[float, str]]:
    """Return where these are in a chart of intervals that begin at `starts`."""
    if len(starts) < 2:
        return []
    length_s = (starts[-1] - starts[0]) / (len(starts) - 1)
    whole_s = length_s * len(starts)
    return [
        ((at - starts[0]) / whole_s, f"{text} at {times.clock(at)}")
        for at, text in sorted(events)
        if starts[0] <= at < starts[0] + whole_s
    ]


def _waits(
    request: Request, waits: tuple[Waits, ...], level: float | None, events: Sequence[tuple[float, str]]
) -> Html:
    names = [f"{moment:%H:%M}" if (moment := request.times.local(each.at)) else "" for each in waits]
    tips = [
        f"{name}: p50 {duration(each.p50_ms)}, p95 {duration(each.p95_ms)}"
        for name, each in zip(names, waits, strict=True)
    ]
    axis = (names[0], names[len(names) // 2], "now") if names else ("", "")
    worst = max((each.p95_ms or 0 for each in waits), default=0)
    label = f"Wait for a worker over {plural(len(waits), 'minute')}, the largest p95 is {duration(worst)}"
    series = (("p95", [each.p95_ms for each in waits]), ("p50", [each.p50_ms for each in waits]))
    marks = marks_of(events, [each.at for each in waits], request.times)
    return charts.lines(series, tips, axis, label, level, events=marks)


def _level(request: Request, counts: Counts | None) -> float | None:
    """Return how long the oldest job has waited, in ms, in steps of a tenth, so that few polls see a change."""
    oldest = counts.oldest_queued_at if counts else None
    return None if oldest is None else 1.1 ** round(math.log(max((request.now - oldest) * 1000, 1.0), 1.1))


def _bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
