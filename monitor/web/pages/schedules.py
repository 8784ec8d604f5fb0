"""The schedules: each with its last sixty slots, the next five, and the slots that did not run as planned.

The newest slots and their outcomes come from the engine, which stores them with the jobs. Average run times and
older bad slots come from the history. A missed slot can be run later, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duey import errors
from duey.control.schedules import Schedule, Slot, zone
from duey.monitor.history import HistoryUnavailable
from duey.monitor.web.display import charts
from duey.monitor.web.display.formats import DAY_S, Times, duration
from duey.monitor.web.display.text import clip
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View, get, post
from duey.monitor.web.services import Recent, Services

WRONG = ("late", "failed", "canceled", "expired", "skipped", "missed")
BAD_SLOTS_SHOWN = 40
NEXT_SHOWN = 5
FIGURES_KEPT_S = 30.0


class SchedulesPage:
    """GET /schedules, POST /schedules/NAME/run, /pause, /resume, /remove."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._figures = Recent(lambda: services.history.tasks(7 * DAY_S), FIGURES_KEPT_S, services.clock)

    def routes(self) -> list[Route]:
        return [
            get("/schedules", self.show),
            post("/schedules/<name:path>/run", self.run),
            post("/schedules/<name:path>/pause", self.pause),
            post("/schedules/<name:path>/resume", self.resume),
            post("/schedules/<name:path>/remove", self.remove),
        ]

    def show(self, request: Request) -> View:
        schedules = self._services.control.schedules.all()
        schedules.sort(key=lambda each: (each.next_at[:1] or (float("inf"),), each.name))
        averages = self._averages()
        bad_slots = [(each, slot) for each in schedules for slot in each.slots if slot.outcome in WRONG]
        bad_slots += self._older(schedules)
        bad_slots.sort(key=lambda entry: -entry[1].at)
        data = {
            "schedules": [{"schedule": each, "average_ms": averages.get(each.task)} for each in schedules],
            "ledger": [{"schedule": each.name, "slot": slot} for each, slot in bad_slots[:BAD_SLOTS_SHOWN]],
        }
        more = {
            "rows": [self._row(request, each, averages.get(each.task)) for each in schedules],
            "wrongs": [
                {"name": each.name, "short": short_name(each), "slot": slot, "text": outcome_text(slot)}
                for each, slot in bad_slots[:BAD_SLOTS_SHOWN]
            ],
        }
        return View("schedules", "Schedules", data, more, "schedules", ("list",))

    def _older(self, schedules: Sequence[Schedule]) -> list[tuple[Schedule, Slot]]:
        """Return bad slots older than those of the engine, or nothing if the history is not available."""
        by_name = {each.name: each for each in schedules if each.slots}
        try:
            found = self._services.history.slots(limit=BAD_SLOTS_SHOWN, outcomes=WRONG)
        except HistoryUnavailable:
            return []
        return [
            (by_name[old.schedule], Slot(old.at, old.outcome, old.job_id, old.reason))
            for old in found
            if old.schedule in by_name and old.at < by_name[old.schedule].slots[-1].at
        ]

    def _averages(self) -> dict[str, float]:
        """Return run times in ms by the short name of the task, or nothing if the history is not available."""
        try:
            figures = self._figures.get()
        except HistoryUnavailable:
            return {}
        return {each.task: each.run.sum_ms / each.run.count for each in figures if each.run.count}

    def _row(self, request: Request, schedule: Schedule, average_ms: float | None) -> dict[str, Any]:
        times = _by_clock_of(schedule, request)
        bars = [
            (_class(each), f"{times.clock(each.at, ' %Z')}: {outcome_text(each)}") for each in reversed(schedule.slots)
        ]
        wrong = sum(each.outcome in WRONG for each in schedule.slots)
        label = (
            f"The last {len(schedule.slots)} slots: {wrong} not as they should be" if schedule.slots else "No slot yet"
        )
        return {
            "schedule": schedule,
            "short": short_name(schedule),
            "strip": charts.strip(bars, label),
            "last": schedule.slots[0] if schedule.slots else None,
            "average": duration(average_ms),
            "last_at": times.when(schedule.slots[0].at if schedule.slots else None),
            "next_at": times.when(None if schedule.paused or not schedule.next_at else schedule.next_at[0]),
            "then": "" if schedule.paused else ", ".join(map(times.clock, schedule.next_at[1:NEXT_SHOWN])),
        }

    # actions

    def run(self, request: Request, name: str) -> Done:
        slot = request.form.get("slot")
        try:
            at = float(slot) if slot else None
            job_id = self._services.control.schedules.run_now(name, at, request.who)
        except errors.UnknownSchedule:
            raise
        except (ValueError, errors.BadRequest, errors.Conflict) as error:
            return self._back(f"Nothing was run: {clip(str(error), 300)}.", NOTE)
        self._services.record(request, "run schedule", name, detail=f"as {job_id}")
        what = "The slot that was missed runs now" if at is not None else "It runs now, beside its timetable"
        return Done(self._services.links.job(job_id), f"{what}.")

    def pause(self, request: Request, name: str) -> Done:
        schedule = self._services.control.schedules.get(name)
        if schedule.paused:
            return self._back(f"{short_name(schedule)} is paused already: nothing was changed.", NOTE)
        self._services.control.schedules.pause(name)
        self._services.record(request, "pause schedule", name)
        return self._back(f"{short_name(schedule)} is paused: slots that fall due are skipped.")

    def resume(self, request: Request, name: str) -> Done:
        schedule = self._services.control.schedules.get(name)
        if not schedule.paused:
            return self._back(f"{short_name(schedule)} is not paused: nothing was changed.", NOTE)
        self._services.control.schedules.resume(name)
        self._services.record(request, "resume schedule", name)
        return self._back(f"{short_name(schedule)} runs again.")

    def remove(self, request: Request, name: str) -> View | Done:
        schedule = self._services.control.schedules.get(name)
        if not schedule.removable:
            raise Refusal(409, f"{name} is written in the code: take it out there")
        if "sure" not in request.form:
            title = f"Remove {short_name(schedule)}?"
            return View("schedules_sure", title, {"schedule": schedule}, section="schedules")
        self._services.control.schedules.remove(name)
        self._services.record(request, "remove schedule", name)
        return self._back(f"{clip(name, 60)} is removed. Jobs that it made are kept.")

    def _back(self, message: str, kind: str = "good") -> Done:
        return Done(self._services.links.to("/schedules"), message, kind)


def outcome_text(slot: Slot) -> str:
    """Return the outcome of a slot as text."""
    reason = slot.reason or ""
    if slot.outcome in ("late", "missed", "skipped") and reason:
        return reason if reason.startswith(slot.outcome) else f"{slot.outcome}: {reason}"
    return f"{slot.outcome} ({reason})" if reason else slot.outcome


def short_name(schedule: Schedule) -> str:
    """Return the last part of the name of a schedule in code, or the whole name of one that was created here."""
    name = schedule.name
    return clip(name if schedule.source == "made" else name.rpartition(".")[2] or name, 80)


def _by_clock_of(schedule: Schedule, request: Request) -> Times:
    """Show all times of a row in the zone of its schedule, which the row names."""
    try:
        return Times(request.now, zone(schedule.tz))
    except errors.Misconfigured:
        return request.times


def _class(slot: Slot) -> str:
    known = ("on time", "running", *WRONG)
    return slot.outcome.replace(" ", "_") if slot.outcome in known else "other"
