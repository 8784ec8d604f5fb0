"""The form of a schedule: to make one for any registered task, and to change one that was made here.

A new one begins with its task, since the fields of its arguments follow from the task's signature. What the task or the
timetable refuses is told in the form, and nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine import errors
from engine.errors import FieldError
from engine.jobs import Job, TaskInfo
from engine.timetables import Schedule, ScheduleRequest
from monitor.web import inputs, typed
from monitor.web.filters import length_s
from monitor.web.form import Fields
from monitor.web.house import House
from monitor.web.route import Route, act, look
from monitor.web.view import Done, View
from monitor.web.visit import Visit

FIELDS = ("name", "cron", "every", "at", "tz", "catch_up", "overlap")
_EVERY = re.compile(r"every (\d+(?:\.\d+)?) s")


class ScheduleForm:
    """GET /schedules/new, POST /schedules, GET /schedules/NAME/edit, POST /schedules/NAME/change."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[Route]:
        return [
            look("/schedules/new", self.new),
            act("/schedules", self.make),
            look("/schedules/<name:path>/edit", self.edit),
            act("/schedules/<name:path>/change", self.change),
        ]

    def new(self, visit: Visit) -> View:
        name = visit.query.get("task")
        if not name:
            tasks = self._house.control.tasks()
            return View("schedule_new", "New schedule", {"tasks": tasks}, section="schedules")
        task = self._house.control.task(name)
        return self._form(task, inputs.inputs_of(task), {"name": task.name}, None)

    def edit(self, visit: Visit, name: str) -> View:
        schedule = self._house.control.schedules.get(name)
        task = self._house.control.task(schedule.task)
        return self._form(task, inputs.inputs_of_job(_as_call(schedule), task), _values(schedule), schedule)

    def make(self, visit: Visit) -> View | Done:
        task = self._house.control.task(visit.form.get("task"))
        fields, name = inputs.inputs_of(task), visit.form.get("name").strip()
        try:
            args, kwargs, problems = typed.read_call(fields, visit.form)
            request = self._request(task, args, kwargs, visit.form, problems)
            self._house.control.schedules.make(name, request)
        except (errors.BadRequest, errors.Conflict) as error:
            return self._refused(task, fields, visit.form, None, error)
        return self._kept(visit, "make schedule", name, f"{name} begins now.")

    def change(self, visit: Visit, name: str) -> View | Done:
        schedule = self._house.control.schedules.get(name)
        task, call = self._house.control.task(schedule.task), _as_call(schedule)
        fields = inputs.inputs_of_job(call, task)
        try:
            edit, problems = typed.read_edit(fields, visit.form)
            args, kwargs = typed.apply(edit, schedule.args, schedule.kwargs)
            request = self._request(task, args, kwargs, visit.form, problems)
            self._house.control.schedules.change(name, request)
        except (errors.BadRequest, errors.Conflict) as error:
            return self._refused(task, fields, visit.form, schedule, error)
        return self._kept(visit, "change schedule", name, f"{name} is changed; its slots count from now.")

    def _kept(self, visit: Visit, action: str, name: str, said: str) -> Done:
        self._house.trail.record(visit, action, name)
        return Done(self._house.links.to("/schedules"), said)

    def _request(
        self, task: TaskInfo, args: Sequence[Any], kwargs: dict[str, Any], form: Fields, problems: list[FieldError]
    ) -> ScheduleRequest:
        cron, every, at = (form.get(key).strip() for key in ("cron", "every", "at"))
        every_s, at_s = None, None
        if sum(map(bool, (cron, every, at))) != 1:
            problems.append(FieldError("When", "expected one of a cron expression, a length and a time"))
        if every and (every_s := length_s(every)) is None:
            problems.append(FieldError("Every", f"expected a length such as 90s, 15min or 2h, found {every[:60]!r}"))
        if at:
            try:
                local = datetime.fromisoformat(at)
                at_s = (local if local.tzinfo else local.replace(tzinfo=self._house.zone)).timestamp()
            except (ValueError, OverflowError):
                problems.append(FieldError("Once at", f"expected a time such as 2030-01-31T14:00, found {at[:60]!r}"))
        if problems:
            raise errors.InvalidArguments(task.name, problems)
        tz, catch_up, overlap = (form.get(key).strip() or None for key in ("tz", "catch_up", "overlap"))
        return ScheduleRequest(task.qualname, args, kwargs, cron or None, every_s, at_s, tz, catch_up, overlap)

    def _refused(
        self, task: TaskInfo, fields: list[inputs.Input], form: Fields, schedule: Schedule | None, error: Exception
    ) -> View:
        problems = error.errors if isinstance(error, errors.InvalidArguments) else (FieldError("", str(error)),)
        shown, sentences = typed.with_problems(typed.as_typed(fields, form), typed.by_name(problems, task))
        values = {key: form.get(key) for key in FIELDS}
        return self._form(task, shown, values, schedule, [each.removeprefix(": ") for each in sentences], 422)

    def _form(
        self,
        task: TaskInfo,
        fields: Sequence[inputs.Input],
        values: dict[str, str],
        schedule: Schedule | None,
        refused: Sequence[str] = (),
        status: int = 200,
    ) -> View:
        title = f"Change {schedule.name}" if schedule else f"Schedule {task.name}"
        more = {
            "fields": fields,
            "values": {**dict.fromkeys(FIELDS, ""), **values},
            "refused": refused,
            "zone": str(self._house.settings.schedule.timezone),
            "default_catch_up": self._house.settings.schedule.catch_up,
        }
        return View("schedule_form", title, {"task": task, "schedule": schedule}, more, "schedules", status=status)


def _as_call(schedule: Schedule) -> Job:
    """The call that a schedule makes, for the fields of its arguments."""
    return Job("", schedule.task, schedule.task, "", schedule.args, schedule.kwargs, "", 0, 0, 0, 0, 0.0)


def _values(schedule: Schedule) -> dict[str, str]:
    every = _EVERY.match(schedule.expression)
    return {
        "name": schedule.name,
        "every": f"{every[1]}s" if every else "",
        "cron": "" if every or schedule.expression.startswith("at ") else schedule.expression,
        "tz": schedule.tz,
        "catch_up": schedule.catch_up,
        "overlap": schedule.overlap,
    }
