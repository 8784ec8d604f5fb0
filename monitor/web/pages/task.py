"""One task: what it is, its figures, a form that runs it, and its pause.

The form comes from the signature. It runs the task now, after a delay, or at a time in the zone of the service. If
the task's signature or hints refuse a value, its field says so, and nothing is enqueued.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from duey import errors
from duey.errors import FieldError
from duey.model.job import JobRequest, TaskInfo
from duey.monitor.history import HistoryUnavailable, JobFilter, TaskHistory
from duey.monitor.history.tallies import BOUNDS_MS
from duey.monitor.web.display import charts
from duey.monitor.web.display.formats import duration, number, plural, read_local
from duey.monitor.web.display.text import clip
from duey.monitor.web.forms import inputs
from duey.monitor.web.forms import typed as typed_in
from duey.monitor.web.forms.filters import length_s
from duey.monitor.web.listing import Listing
from duey.monitor.web.pages.job_pages.jobs import row_of
from duey.monitor.web.pages.overview import marks_of, starts_of
from duey.monitor.web.pages.tasks import DEFAULT_WINDOW, WINDOWS, rate
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View, get, post, unchanged
from duey.monitor.web.services import Services, live_etag

STEPS, LISTED = 48, 8


class TaskPage:
    """GET /tasks/NAME, POST /tasks/NAME/run, /pause, /resume."""

    def __init__(self, services: Services) -> None:
        self._services, self._listing = services, Listing(services.control, services.history)

    def routes(self) -> list[Route]:
        storage = self._services.control.storage
        return [
            post("/tasks/<name:path>/run", self.run),
            post("/tasks/<name:path>/pause", self.pause),
            post("/tasks/<name:path>/resume", self.resume),
            get("/tasks/<name:path>", self.show, reads=(storage.pauses, *self._listing.reads)),
        ]

    def show(self, request: Request, name: str) -> View:
        etag = live_etag(self._services, request) if request.fragment else ""
        return unchanged("task", etag) if request.knows(etag) else replace(self._view(request, name), etag=etag)

    def _view(
        self, request: Request, name: str, typed: Sequence[inputs.Input] | None = None, refused: Sequence[str] = ()
    ) -> View:
        task, history = self._look_up(request, name)
        figures = history.figures if history else None
        if task is None and figures is None:
            self._services.control.task(name)  # raises UnknownTask with the nearest names
        known_as = task.qualname if task else figures.qualname if figures else name
        window = request.query.get("window") if request.query.get("window") in WINDOWS else DEFAULT_WINDOW
        used = None
        try:
            last = self._listing.page(JobFilter(task=known_as), LISTED, None).rows
            states = {state: n for state, n in self._listing.counts(JobFilter(task=known_as)).items() if n.number}
            used = self._services.history.used(known_as)
        except HistoryUnavailable:
            last, states = (), {}
        data = {
            "window": window,
            "task": task,
            "figures": figures,
            "used": used,
            "steps": history.steps if history else [],
            "jobs": last,
            "by_state": states,
        }
        short = task.name if task else figures.task if figures else name
        fields = list(typed) if typed is not None else inputs.inputs_of(task) if task else []
        more = {
            "short": short,
            "known_as": known_as,
            "rows": [row_of(row) for row in last],
            "states": [(name, n, self._services.links.jobs(task=known_as, state=name)) for name, n in states.items()],
            "fields": fields,
            "refused": refused,
            "running_form": typed is not None,
            "options": inputs.options_of(task) if task else {},
            "rate": rate(figures.rate_per_s) if figures else "–",
            "zone": request.times.zone_name,
            "after": request.form.get("after"),
            "at_time": request.form.get("at"),
            "chart": _histogram(history),
            "heat_chart": self._heat(request, history, window),
            "axis_ms": _shown_buckets(history),
            "windows": [
                (each, f"{self._services.links.task(known_as)}?window={each}", each == window) for each in WINDOWS
            ],
        }
        return View(
            "task", clip(short, 60), data, more, "tasks", ("figures", "last"), 422 if typed is not None else 200
        )

    def _look_up(self, request: Request, name: str) -> tuple[TaskInfo | None, TaskHistory | None]:
        task: TaskInfo | None = None
        with contextlib.suppress(errors.UnknownTask):
            task = self._services.control.task(name)
        window = WINDOWS.get(request.query.get("window"), WINDOWS[DEFAULT_WINDOW])
        try:
            return task, self._services.history.task(task.qualname if task else name, window, STEPS)
        except HistoryUnavailable:
            if task is None:
                raise
            return task, None

    def _heat(self, request: Request, history: TaskHistory | None, window: str) -> Any:
        first, end = _shown_buckets(history)
        if history is None or first == end:
            return None
        columns = [step.run.buckets[first:end] for step in history.steps]
        label = f"Run times over {plural(len(columns), 'step')}, longer ones further up"
        starts = [step.at for step in history.steps]
        marks = marks_of(starts_of(self._services.history, starts[0]), starts, request.times)
        ends = (_bounds(first)[1], _bounds(end - 1)[0])
        return charts.heat(columns, label, (window + " ago", "now"), ends, events=marks)

    # actions

    def run(self, request: Request, name: str) -> View | Done:
        task = self._services.control.task(name)
        fields = inputs.inputs_of(task)
        args, kwargs, problems = typed_in.read_call(fields, request.form)
        delay_s, eta, other = self._moment(request)
        try:
            if problems or other:
                raise errors.InvalidArguments(task.name, [*problems, *other])
            call = JobRequest(task.qualname, args, kwargs, delay_s=delay_s, eta=eta)
            enqueued = self._services.control.enqueue((call,), by=request.who)
        except errors.InvalidArguments as error:
            shown, sentences = typed_in.with_problems(
                typed_in.as_typed(fields, request.form), typed_in.by_name(error.errors, task)
            )
            return self._view(request, name, shown, sentences)
        job = enqueued.jobs[0]
        if enqueued.held:
            return Done(
                self._services.links.job(job.id),
                "A job with the same unique key is there already: nothing was added.",
                NOTE,
            )
        self._services.record(request, "run task", task.qualname, detail=f"as {job.id}")
        return Done(self._services.links.job(job.id), "Accepted.")

    def _moment(self, request: Request) -> tuple[float | None, float | None, list[FieldError]]:
        after, at = request.form.get("after").strip(), request.form.get("at").strip()
        if after and at:
            return None, None, [FieldError("When", "expected a delay or a time, found both")]
        if after:
            delay_s = length_s(after)
            if delay_s is None:
                return (
                    None,
                    None,
                    [FieldError("Delay", f"expected a length such as 90s, 15min or 2h, found {after[:60]!r}")],
                )
            return delay_s, None, []
        if at:
            try:
                return None, read_local(at, request.times.zone), []
            except ValueError as error:
                return None, None, [FieldError("Run at", str(error))]
        return None, None, []

    def pause(self, request: Request, name: str) -> Done:
        task = self._services.control.task(name)
        if task.paused:
            return self._back(request, name, f"{task.name} is paused already: nothing was changed.", NOTE)
        self._services.control.pause_task(task.qualname)
        self._services.record(request, "pause task", task.qualname)
        message = f"{task.name} is paused: waiting jobs stay queued, running ones finish."
        return replace(self._back(request, name, message), undo=self._services.links.task(name, "resume"))

    def resume(self, request: Request, name: str) -> Done:
        task = self._services.control.task(name)
        if not task.paused:
            return self._back(request, name, f"{task.name} is not paused: nothing was changed.", NOTE)
        self._services.control.resume_task(task.qualname)
        self._services.record(request, "resume task", task.qualname)
        return self._back(request, name, f"{task.name} runs again.")

    def _back(self, request: Request, name: str, message: str, kind: str = "good") -> Done:
        back = request.form.get("back")
        return Done(back if self._services.links.own(back) else self._services.links.task(name), message, kind)


def _shown_buckets(history: TaskHistory | None) -> tuple[int, int]:
    """Return the first bucket and the one after the last, with room for at least eight."""
    used = [n for n, each in enumerate(history.figures.run.buckets) if each] if history else []
    if not used:
        return 0, 0
    first = max(0, min(used[0] - 1, len(BOUNDS_MS) - 8))
    return first, min(len(BOUNDS_MS), max(used[-1] + 2, first + 8))


def _bounds(n: int) -> tuple[str, str]:
    low = 0.0 if n == 0 else BOUNDS_MS[n - 1]
    return duration(low), "more" if math.isinf(BOUNDS_MS[n]) else duration(BOUNDS_MS[n])


def _histogram(history: TaskHistory | None) -> Any:
    first, end = _shown_buckets(history)
    if history is None or first == end:
        return None
    counts = history.figures.run.buckets[first:end]
    tips = [f"{_bounds(n)[0]} to {_bounds(n)[1]}: {number(each)}" for n, each in enumerate(counts, first)]
    run = history.figures.run
    p50, p95 = duration(run.p50_ms), duration(run.p95_ms)
    label = f"Run times of {plural(run.count, 'attempt')}: p50 {p50}, p95 {p95}"
    axis = (_bounds(first)[0], _bounds((first + end) // 2)[0], _bounds(end - 1)[1])
    return charts.histogram(counts, tips, axis, label, 150)
