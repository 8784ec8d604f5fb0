"""The form of a schedule: to make one for any registered task, and to change one that was made here.

A new one begins with its task, since the fields of its arguments follow from the task's signature. What the task or the
timetable refuses is told in the form, and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from duey import errors
from duey.control.schedules import Schedule, ScheduleRequest
from duey.errors import FieldError
from duey.model.job import Job, TaskInfo
from duey.monitor.web import inputs, typed, when
from duey.monitor.web.form import Fields
from duey.monitor.web.request import Visit
from duey.monitor.web.route import Route, act, look
from duey.monitor.web.services import House
from duey.monitor.web.view import Done, View

FIELDS = ("name", *when.KEYS)


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
        values = when.shown(schedule.given, self._house.zone)
        return self._form(task, inputs.inputs_of_job(_as_call(schedule), task), values, schedule)

    def make(self, visit: Visit) -> View | Done:
        task = self._house.control.task(visit.form.get("task"))
        fields, name = inputs.inputs_of(task), visit.form.get("name").strip()
        try:
            args, kwargs, problems = typed.read_call(fields, visit.form)
            values, more = when.read(visit.form, {}, self._house.zone)
            if problems or more:
                raise errors.InvalidArguments(task.name, [*problems, *more])
            self._house.control.schedules.make(name, ScheduleRequest(task.qualname, args, kwargs, **values))
        except (errors.BadRequest, errors.Conflict) as error:
            return self._refused(task, fields, visit.form, None, error)
        return self._kept(visit, "make schedule", name, f"{name} begins now.")

    def change(self, visit: Visit, name: str) -> View | Done:
        schedule = self._house.control.schedules.get(name)
        task, call = self._house.control.task(schedule.task), _as_call(schedule)
        fields = inputs.inputs_of_job(call, task)
        try:
            edit, problems = typed.read_edit(fields, visit.form)
            values, more = when.read(visit.form, schedule.given, self._house.zone)
            if problems or more:
                raise errors.InvalidArguments(task.name, [*problems, *more])
            self._house.control.schedules.change(name, ScheduleRequest(task.qualname, **values), edit)
        except (errors.BadRequest, errors.Conflict) as error:
            return self._refused(task, fields, visit.form, schedule, error)
        return self._kept(visit, "change schedule", name, f"{name} is changed; its slots count from now.")

    def _kept(self, visit: Visit, action: str, name: str, said: str) -> Done:
        self._house.trail.record(visit, action, name)
        return Done(self._house.links.to("/schedules"), said)

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
            "default_window": when.length_text(self._house.settings.schedule.catch_up_window_s),
        }
        return View("schedule_form", title, {"task": task, "schedule": schedule}, more, "schedules", status=status)


def _as_call(schedule: Schedule) -> Job:
    """The call that a schedule makes, for the fields of its arguments."""
    return Job("", schedule.task, schedule.task, "", schedule.args, schedule.kwargs, "", 0, 0, 0, 0, 0.0)
