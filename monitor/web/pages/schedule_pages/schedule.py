"""One schedule: when it runs, its past runs with their times, what did not run as planned, and who changed it.

The past comes from the history, which has a slot some seconds later. A slot that was missed can be run, once; one
that needs no more attention can be dismissed, and then stays in the list of runs only.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from duey import errors
from duey.control.schedules import OUTCOMES, Schedule
from duey.errors import BadRequest
from duey.model.schedule import MISSED
from duey.monitor.history import HistoryUnavailable, SlotGroup, SlotRun
from duey.monitor.web.display import charts
from duey.monitor.web.display.calls import preview
from duey.monitor.web.display.formats import duration, plural
from duey.monitor.web.display.text import Html, clip
from duey.monitor.web.pages.overview import starts_of
from duey.monitor.web.pages.schedule_pages.schedules import NEXT_SHOWN, by_clock_of, outcome_text, short_name, strip_of
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View, get, post, question
from duey.monitor.web.services import Services
from duey.monitor.web.situation import asked
from duey.monitor.web.verbs import AT_ONCE_S

PAGE, CHANGES = 50, 10
ACTIONS = ("make schedule", "change schedule", "pause schedule", "resume schedule")
TABS = (("All", ""), ("Missed", "missed"), ("Failed", "failed"), ("Late", "late"), ("Skipped", "skipped"))
CATCH_UP_TEXTS = {"once": "one run for all of them", "all": "a run for each", "skip": "are left out"}
OVERLAP_TEXTS = {"skip": "skip this one", "queue": "queue it behind", "allow": "run beside it"}


class SchedulePage:
    """GET /schedules/NAME, POST /schedules/NAME/run, /run-missed, /dismiss, /pause, /resume, /remove."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [
            *(post(f"/schedules/<name:path>/{verb}", handler) for verb, handler in (
                ("run", self.run), ("run-missed", self.run_missed), ("dismiss", self.dismiss),
                ("pause", self.pause), ("resume", self.resume), ("remove", self.remove),
            )),
            get("/schedules/<name:path>", self.show),
        ]  # fmt: skip

    def show(self, request: Request, name: str) -> View:
        schedule = self._services.control.schedules.get(name)
        outcome, before = request.query.get("outcome"), _number(request.query.get("before"))
        if outcome not in ("", *OUTCOMES):
            raise BadRequest(f"expected an outcome ({', '.join(OUTCOMES)}), found {outcome[:60]!r}")
        runs, groups = self._past(name, outcome, before)
        times = by_clock_of(schedule, request)
        older = runs[PAGE - 1].slot.at if len(runs) > PAGE else None
        runs = runs[:PAGE]
        changes = asked(lambda: self._services.access.audit.about(name, ACTIONS, CHANGES)) or ()
        data = {"schedule": schedule, "runs": runs, "next_before": older, "to_look_at": groups, "changes": changes}
        address = self._services.links.schedule(name)
        more = {
            "short": short_name(schedule),
            "strip": strip_of(schedule, times),
            "chart": _chart(runs, times, starts_of(self._services.history, 0.0)),
            "call": preview(schedule.args, schedule.kwargs, 400),
            "next_texts": [times.clock(each) for each in schedule.next_at[:NEXT_SHOWN]],
            "catch_up": CATCH_UP_TEXTS.get(schedule.catch_up, schedule.catch_up),
            "overlap": OVERLAP_TEXTS.get(schedule.overlap, schedule.overlap),
            "wrongs": [{"group": each, "short": "", "text": outcome_text(each)} for each in groups],
            "rows": [{"run": each, "text": outcome_text(each.slot)} for each in runs],
            "tabs": [(label, f"{address}?outcome={value}" if value else address, value == outcome)
                     for label, value in TABS],
            "older": None if older is None else f"{address}?outcome={outcome}&before={older!r}",
            "newest": None if before is None else f"{address}?outcome={outcome}",
            "here": address,
        }  # fmt: skip
        return View("schedule", clip(name, 60), data, more, "schedules", ("now", "runs"))

    def _past(self, name: str, outcome: str, before: float | None) -> tuple[tuple[SlotRun, ...], tuple[SlotGroup, ...]]:
        """Return the runs, one more than a page has, and what to look at; nothing if there is no history now."""
        history = self._services.history
        try:
            runs = history.slot_runs(name, PAGE + 1, (outcome,) if outcome else (), before)
            return runs, history.slots_to_look_at(name)
        except HistoryUnavailable:
            return (), ()

    def run(self, request: Request, name: str) -> Done:
        slot = request.form.get("slot")
        try:
            at = float(slot) if slot else None
            job_id = self._services.control.schedules.run_now(name, at, request.who)
        except errors.UnknownSchedule:
            raise
        except (ValueError, errors.BadRequest, errors.Conflict) as error:
            return self._back(request, name, f"Nothing was run: {clip(str(error), 300)}.", NOTE)
        self._services.record(request, "run schedule", name, detail=f"as {job_id}")
        if at is not None:
            self._services.history.dismiss_slots(name, MISSED, at - 0.001, at + 0.001)
        what = "The slot that was missed runs now" if at is not None else "It runs now, beside its timetable"
        return Done(self._services.links.job(job_id), f"{what}.")

    def run_missed(self, request: Request, name: str) -> View | Done:
        """Run the missed slots between two times, after a question."""
        schedule = self._services.control.schedules.get(name)
        first_at, last_at = _range(request)
        slots = self._services.history.open_slots(name, MISSED, first_at, last_at)
        if "sure" not in request.form:
            return self._ask_to_run(request, schedule, slots, first_at, last_at)
        done, refused, end = 0, "", time.monotonic() + AT_ONCE_S
        for at in slots:
            if time.monotonic() > end:
                refused = "time was up before all were reached: repeat it for the rest"
                break
            try:
                self._services.control.schedules.run_now(name, at, request.who)
            except (errors.BadRequest, errors.Conflict) as error:
                refused = clip(str(error), 300)
                continue
            self._services.history.dismiss_slots(name, MISSED, at, at)
            done += 1
        if done:
            self._services.record(request, "run schedule", name, done, "missed slots")
        message = f"{plural(done, 'missed slot')} of {short_name(schedule)} queued" + (
            f"; {refused}" if refused else ""
        )
        return self._back(request, name, f"{message}.", NOTE if refused else "good")

    def _ask_to_run(
        self, request: Request, schedule: Schedule, slots: Sequence[float], first_at: float, last_at: float
    ) -> View:
        links, many = self._services.links, plural(len(slots), "missed slot")
        sentences = ["None of them is left: they ran meanwhile, or were dismissed."]
        if slots:
            due = f"They were due from {request.times.exact(slots[0])} to {request.times.exact(slots[-1])}."
            sentences = [due, f"Each becomes a job of {clip(schedule.task, 80)} that runs when a worker is free."]
        return question(
            f"Run {many} of {short_name(schedule)}?", sentences,
            f"{links.schedule(schedule.name, 'run-missed')}?first={first_at!r}&last={last_at!r}",
            f"Run {many}" if slots else "", ("Cancel", links.schedule(schedule.name)), "schedules", danger=False,
        )  # fmt: skip

    def dismiss(self, request: Request, name: str) -> Done:
        first_at, last_at = _range(request)
        outcome = request.query.get("outcome")
        count = self._services.history.dismiss_slots(name, outcome, first_at, last_at)
        if not count:
            return self._back(request, name, "They are dismissed already: nothing was changed.", NOTE)
        self._services.record(request, "dismiss slots", name, count, outcome)
        return self._back(request, name, f"{plural(count, 'slot')} of {clip(name, 60)} dismissed.")

    def pause(self, request: Request, name: str) -> Done:
        schedule = self._services.control.schedules.get(name)
        if schedule.paused:
            return self._back(request, name, f"{short_name(schedule)} is paused already: nothing was changed.", NOTE)
        self._services.control.schedules.pause(name)
        self._services.record(request, "pause schedule", name)
        message = f"{short_name(schedule)} is paused: slots that fall due are skipped."
        return replace(self._back(request, name, message), undo=self._services.links.schedule(name, "resume"))

    def resume(self, request: Request, name: str) -> Done:
        schedule = self._services.control.schedules.get(name)
        if not schedule.paused:
            return self._back(request, name, f"{short_name(schedule)} is not paused: nothing was changed.", NOTE)
        self._services.control.schedules.resume(name)
        self._services.record(request, "resume schedule", name)
        return self._back(request, name, f"{short_name(schedule)} runs again.")

    def remove(self, request: Request, name: str) -> View | Done:
        schedule = self._services.control.schedules.get(name)
        if not schedule.removable:
            raise Refusal(409, f"{name} is written in the code: take it out there")
        if "sure" not in request.form:
            links, expression = self._services.links, clip(schedule.expression, 120)
            return question(
                f"Remove {short_name(schedule)}?",
                [f"{expression} of {clip(schedule.task, 80)} is forgotten with its slots. Jobs that it made are kept."],
                links.schedule(name, "remove"), "Remove it", ("Keep it", links.schedule(name)), "schedules",
            )  # fmt: skip
        self._services.control.schedules.remove(name)
        self._services.record(request, "remove schedule", name)
        return Done(self._services.links.to("/schedules"), f"{clip(name, 60)} is removed. Jobs that it made are kept.")

    def _back(self, request: Request, name: str, message: str, kind: str = "good") -> Done:
        back = request.form.get("back")
        return Done(back if self._services.links.own(back) else self._services.links.schedule(name), message, kind)


def _range(request: Request) -> tuple[float, float]:
    """Return the times of the first and last slot that a verb is for."""
    first_at, last_at = (_number(request.query.get(key)) for key in ("first", "last"))
    if first_at is None or last_at is None:
        raise Refusal(400, "expected the times of the first and the last slot: open the page again")
    return first_at - 0.001, last_at + 0.001


def _number(text: str) -> float | None:
    """Return a time of an address, None if it has none. Raises BadRequest."""
    try:
        return float(text) if text else None
    except ValueError:
        raise BadRequest("the time is not valid for this list: start again without one") from None


def _chart(runs: Sequence[SlotRun], times: Any, events: Sequence[tuple[float, str]]) -> Html | None:
    """Return the run times of these runs, the oldest first, or None if no time is known."""
    known = [each for each in reversed(runs) if each.run_ms is not None]
    if len(known) < 2:
        return None
    tips = [f"{times.clock(each.slot.at)}: {duration(each.run_ms)}" for each in known]
    longest = max(each.run_ms or 0 for each in known)
    label = f"Run times of {plural(len(known), 'run')}, the longest {duration(longest)}"
    axis = (times.clock(known[0].slot.at), times.clock(known[-1].slot.at))
    dues = [each.slot.at for each in known]
    marks = [
        (bisect(dues, at) / len(dues), f"{text} at {times.clock(at)}") for at, text in sorted(events) if at >= dues[0]
    ]
    return charts.lines((("p50", [each.run_ms for each in known]),), tips, axis, label, events=marks)
