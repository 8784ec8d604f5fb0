"""The schedules: each with its last sixty slots, the next five, and the slots that did not run as planned.

The newest slots and their outcomes come from the engine, which stores them with the jobs. Average run times and the
slots to look at come from the history, which has them some seconds later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from duey import errors
from duey.control.schedules import Schedule, Slot, zone
from duey.monitor.history import HistoryUnavailable, SlotGroup
from duey.monitor.web.display import charts
from duey.monitor.web.display.formats import DAY_S, Times, duration
from duey.monitor.web.display.text import Html, clip
from duey.monitor.web.request import Request
from duey.monitor.web.route import Route, View, get
from duey.monitor.web.services import Recent, Services

WRONG = ("late", "failed", "canceled", "expired", "skipped", "missed")
NEXT_SHOWN = 5
FIGURES_KEPT_S = 30.0


class HasOutcome(Protocol):
    """A slot, of the engine or the history, or a group of them."""

    @property
    def outcome(self) -> str: ...
    @property
    def reason(self) -> str | None: ...


class SchedulesPage:
    """GET /schedules."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._figures = Recent(lambda: services.history.tasks(7 * DAY_S), FIGURES_KEPT_S, services.clock)

    def routes(self) -> list[Route]:
        return [get("/schedules", self.show)]

    def show(self, request: Request) -> View:
        schedules = self._services.control.schedules.all()
        schedules.sort(key=lambda each: (each.next_at[:1] or (float("inf"),), each.name))
        averages, groups = self._averages(), self._groups(schedules)
        data = {
            "schedules": [{"schedule": each, "average_ms": averages.get(each.task)} for each in schedules],
            "to_look_at": groups,
        }
        shorts = {each.name: short_name(each) for each in schedules}
        more = {
            "rows": [self._row(request, each, averages.get(each.task)) for each in schedules],
            "wrongs": [{"group": each, "short": shorts[each.schedule], "text": outcome_text(each)} for each in groups],
        }
        return View("schedules", "Schedules", data, more, "schedules", ("list",))

    def _groups(self, schedules: Sequence[Schedule]) -> list[SlotGroup]:
        """Return the slots to look at of the schedules that there are, nothing if the history is not available."""
        names = {each.name for each in schedules}
        try:
            return [each for each in self._services.history.slots_to_look_at() if each.schedule in names]
        except HistoryUnavailable:
            return []

    def _averages(self) -> dict[str, float]:
        """Return run times in ms by the short name of the task, or nothing if the history is not available."""
        try:
            figures = self._figures.get()
        except HistoryUnavailable:
            return {}
        return {each.task: each.run.sum_ms / each.run.count for each in figures if each.run.count}

    def _row(self, request: Request, schedule: Schedule, average_ms: float | None) -> dict[str, Any]:
        times = by_clock_of(schedule, request)
        return {
            "schedule": schedule,
            "short": short_name(schedule),
            "strip": strip_of(schedule, times),
            "last": schedule.slots[0] if schedule.slots else None,
            "average": duration(average_ms),
            "last_at": times.when(schedule.slots[0].at if schedule.slots else None),
            "next_at": times.when(None if schedule.paused or not schedule.next_at else schedule.next_at[0]),
            "then": "" if schedule.paused else ", ".join(map(times.clock, schedule.next_at[1:NEXT_SHOWN])),
        }


def outcome_text(slot: HasOutcome) -> str:
    """Return the outcome of a slot, or of a group of them, as text."""
    reason = slot.reason or ""
    if slot.outcome in ("late", "missed", "skipped") and reason:
        return reason if reason.startswith(slot.outcome) else f"{slot.outcome}: {reason}"
    return f"{slot.outcome} ({reason})" if reason else slot.outcome


def short_name(schedule: Schedule) -> str:
    """Return the last part of the name of a schedule in code, or the whole name of one that was created here."""
    name = schedule.name
    return clip(name if schedule.source == "made" else name.rpartition(".")[2] or name, 80)


def by_clock_of(schedule: Schedule, request: Request) -> Times:
    """Show all times of a row in the zone of its schedule, which the row names."""
    try:
        return Times(request.now, zone(schedule.tz))
    except errors.Misconfigured:
        return request.times


def strip_of(schedule: Schedule, times: Times) -> Html:
    """Return the newest slots as a strip, the oldest first."""
    slots = schedule.slots
    bars = [(_class(each), f"{times.clock(each.at, ' %Z')}: {outcome_text(each)}") for each in reversed(slots)]
    wrong = sum(each.outcome in WRONG for each in slots)
    return charts.strip(bars, f"The last {len(slots)} slots: {wrong} not as planned" if slots else "No slot yet")


def _class(slot: Slot) -> str:
    known = ("on time", "running", *WRONG)
    return slot.outcome.replace(" ", "_") if slot.outcome in known else "other"
