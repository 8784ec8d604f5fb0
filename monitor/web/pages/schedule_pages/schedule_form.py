"""The form of a schedule: creates one for any registered task, and changes one that was created here.

A new schedule begins with its task, because the fields of its arguments come from the task's signature. If the task
or the timetable refuses a value, the form says so and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from duey import errors
from duey.control.schedules import Schedule, ScheduleRequest, zone
from duey.errors import FieldError
from duey.model.job import Job, TaskInfo
from duey.monitor.web.display.formats import Times
from duey.monitor.web.forms import inputs, typed, when
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.pages.schedule_pages.schedules import by_clock_of
from duey.monitor.web.request import Request
from duey.monitor.web.route import Done, Route, View, get, post
from duey.monitor.web.services import Services

FIELDS = ("name", "version", *when.KEYS)


class ScheduleForm:
    """GET /schedules/new, POST /schedules, GET /schedules/NAME/edit, POST /schedules/NAME/change."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [
            get("/schedules/new", self.new),
            get("/schedules/preview", self.preview),
            post("/schedules", self.make),
            get("/schedules/<name:path>/edit", self.edit),
            post("/schedules/<name:path>/change", self.change),
        ]

    def new(self, request: Request) -> View:
        name = request.query.get("task")
        if not name:
            tasks = self._services.control.tasks()
            return View("schedule_new", "New schedule", {"tasks": tasks}, section="schedules")
        task = self._services.control.task(name)
        return self._form(task, inputs.inputs_of(task), {"name": task.name}, None)

    def preview(self, request: Request) -> View:
        """When the fields that are typed so far would run; the page's script asks for it as JSON."""
        sentence = ""
        try:
            values, problems = when.read(request.query, {}, self._services.zone)
            if problems:
                raise errors.BadSchedule("", problems[0].message)
            found = self._services.control.schedules.preview(ScheduleRequest("", **values))
            times = Times(request.now, zone(found.tz))
            sentence = f"{found.words}: {', '.join(times.clock(each) for each in found.next_at)} ({found.tz})"
        except (errors.BadRequest, errors.Misconfigured) as error:
            sentence = str(error).removeprefix(": ") if any(map(request.query.get, when.KINDS)) else ""
        return View("schedule_preview", "Next runs", {"sentence": sentence}, section="schedules")

    def edit(self, request: Request, name: str) -> View:
        schedule = self._services.control.schedules.get(name)
        task = self._services.control.task(schedule.task)
        values = {**when.shown(schedule.given, self._services.zone), "version": schedule.version}
        return self._form(task, inputs.inputs_of_job(_as_call(schedule), task), values, schedule)

    def make(self, request: Request) -> View | Done:
        task = self._services.control.task(request.form.get("task"))
        fields, name = inputs.inputs_of(task), request.form.get("name").strip()
        try:
            args, kwargs, problems = typed.read_call(fields, request.form)
            values, more = when.read(request.form, {}, self._services.zone)
            if problems or more:
                raise errors.InvalidArguments(task.name, [*problems, *more])
            row = self._services.control.schedules.make(name, ScheduleRequest(task.qualname, args, kwargs, **values))
        except (errors.BadRequest, errors.Conflict) as error:
            return self._refused(task, fields, request.form, None, error)
        made = self._services.control.schedules.shown(row)
        return self._kept(request, "make schedule", made, f"created; first run {_first(made, request)}", made.summary)

    def change(self, request: Request, name: str) -> View | Done:
        schedule = self._services.control.schedules.get(name)
        task, call = self._services.control.task(schedule.task), _as_call(schedule)
        fields = inputs.inputs_of_job(call, task)
        try:
            edit, problems = typed.read_edit(fields, request.form)
            values, more = when.read(request.form, schedule.given, self._services.zone)
            if problems or more:
                raise errors.InvalidArguments(task.name, [*problems, *more])
            row = self._services.control.schedules.change(
                name, ScheduleRequest(task.qualname, version=request.form.get("version") or None, **values), edit
            )
        except (errors.BadRequest, errors.Conflict) as error:
            return self._refused(task, fields, request.form, schedule, error)
        made = self._services.control.schedules.shown(row)
        detail = schedule.change_to(made)
        return self._kept(request, "change schedule", made, f"changed; next run {_first(made, request)}", detail)

    def _kept(self, request: Request, action: str, schedule: Schedule, what: str, detail: str) -> Done:
        self._services.record(request, action, schedule.name, detail=detail)
        return Done(self._services.links.schedule(schedule.name), f"Schedule {schedule.name} {what}.")

    def _refused(
        self, task: TaskInfo, fields: list[inputs.Input], form: Fields, schedule: Schedule | None, error: Exception
    ) -> View:
        problems = error.errors if isinstance(error, errors.InvalidArguments) else (FieldError("", str(error)),)
        shown, sentences = typed.with_problems(typed.as_typed(fields, form), typed.by_name(problems, task))
        values = {key: form.get(key) for key in FIELDS}
        status = 409 if isinstance(error, errors.ScheduleChanged) else 422
        return self._form(task, shown, values, schedule, [each.removeprefix(": ") for each in sentences], status)

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
            "zone": str(self._services.settings.schedule.timezone),
            "default_catch_up": self._services.settings.schedule.catch_up,
            "default_window": when.length_text(self._services.settings.schedule.catch_up_window_s),
        }
        return View("schedule_form", title, {"task": task, "schedule": schedule}, more, "schedules", status=status)


def _first(schedule: Schedule, request: Request) -> str:
    """Return when it runs next, in its own zone."""
    times = by_clock_of(schedule, request)
    return times.clock(schedule.next_at[0], " %Z") if schedule.next_at else "not known"


def _as_call(schedule: Schedule) -> Job:
    """Return the call of a schedule, for the fields of its arguments."""
    return Job("", schedule.task, schedule.task, "", schedule.args, schedule.kwargs, "", 0, 0, 0, 0, 0.0)
