"""Whether stored jobs and schedules fit the tasks of this code: for `duey check --queue`, before it is deployed.

Reads values in their stored form: no constructor of an author's class runs, and no pickle is executed. The author's
`accepts=` is called, as the worker would; only for it instances of registered classes are made. A call whose values all
are plain JSON is compared with the hints, as if the API was asked for it. Of others only number and names of the
arguments are: dates, dataclasses and the like were converted when the job was enqueued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from huey.registry import Message

from duey import errors
from duey.control.call import call_schema
from duey.execution.huey import DurableHuey
from duey.model.job import JobRecord
from duey.model.schedule import ScheduleRow
from duey.payload.plain import is_plain
from duey.payload.serializer import Use, of_job
from duey.scheduling import entry
from duey.tasks.registry import KnownTasks
from duey.tasks.renamed import ArgumentsUnfit, accepted


class Misfit(NamedTuple):
    """Why a job or a schedule could not run. Those of a task with one `cause` have the same reason."""

    task: str
    cause: str
    sentence: str


class Fit:
    """Compares with the tasks of one Huey."""

    def __init__(self, huey: DurableHuey, known: KnownTasks) -> None:
        self._huey, self._known = huey, known
        self._tasks = huey._registry._registry

    def of_job(self, job: JobRecord) -> Misfit | None:
        """Why a job could not run, None if it could."""
        try:
            return self._unknown(job.task) or self._job(job)
        except Exception as exc:
            return Misfit(job.task, type(exc).__name__, self._unreadable(exc))

    def of_schedule(self, row: ScheduleRow) -> Misfit | None:
        """Why the next job of a schedule that was made at run time could not run, None if it could."""
        item = entry.of_row(self._huey, row)
        task = entry.task_name(row, item.spec)
        try:
            if (unknown := self._unknown(task)) is not None:
                return unknown
            if item.problem:
                return Misfit(task, item.problem, item.problem)
            assert item.stored is not None
            args, kwargs = self._read(task, item.stored, entry.use_of(row.name, item.spec))
            return self._call(task, args, kwargs)
        except Exception as exc:
            return Misfit(task, type(exc).__name__, self._unreadable(exc))

    def _unreadable(self, exc: Exception) -> str:
        return f"its arguments cannot be read: {' '.join(str(exc).split()) or type(exc).__name__}"

    def _unknown(self, task: str, role: str = "") -> Misfit | None:
        if task in self._tasks:
            return None
        near = get_close_matches(task, [self._known.full(cls) for cls in self._known.all()], n=1)
        remedy = f"did you mean {near[0]}? " if near else ""
        sentence = f"{role}no task {task} is known: {remedy}Keep it, or name it in aliases= of the task that it is now"
        return Misfit(task, f"unknown {role}", sentence)

    def _job(self, job: JobRecord) -> Misfit | None:
        message = self._read(job.task, job.payload, of_job(job))
        args = message.args or ()
        if job.chord is not None:
            args = (*args, [])  # the results of its members
        found = self._call(job.task, args, message.kwargs or {})
        return found or next(filter(None, (self._unknown(*each) for each in later(message))), None)

    def _read(self, task: str, stored: bytes, use: Use) -> Any:
        """What is stored; with instances if `accepts=` of the task is given it."""
        serializer = self._huey.serializer
        if getattr(self._tasks[task], "accepts", None) is not None and serializer.kind == "json":
            return serializer.deserialize(stored, use)
        return serializer.checked(stored, use)

    def _call(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Misfit | None:
        cls = self._tasks[task]
        try:
            args, kwargs = accepted(cls, args, kwargs)
        except ArgumentsUnfit as exc:
            return Misfit(task, "accepts", str(exc))
        if not is_plain([list(args), dict(kwargs)]):
            try:
                cls.arity.check(task, args, kwargs)
            except TypeError as exc:
                return Misfit(task, "arity", str(exc).removeprefix(f"task {task}: "))
            return None
        try:
            call_schema(self._known.signature(cls)).bind(args, kwargs)
        except errors.InvalidArguments as exc:
            first = exc.errors[0]
            more = f" (and {len(exc.errors) - 1} more)" if len(exc.errors) > 1 else ""
            return Misfit(task, first.path, f"{first.path}: {first.message}{more}")
        return None


def later(message: Message) -> Iterator[tuple[str, str]]:
    """The tasks of what follows a job, each with its role: steps of its pipeline, handlers of errors, a chord."""
    callback = message.chord_config[3] if message.chord_config else None
    for found, role in (
        (message.on_complete, "its next step: "), (message.on_error, "its error handler: "),
        (callback, "the callback of its chord: "),
    ):  # fmt: skip
        if found is not None:
            yield found.name, role
            yield from later(found)
