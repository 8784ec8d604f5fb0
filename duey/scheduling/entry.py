"""Schedule entries: the periodic tasks of the code, and the schedules that were created at run time.

The storage has a row for each (duey.model.schedule). Its `spec` is JSON. For a schedule created at run time it is
{"task", "call", one of "cron", "every" (seconds) and "at" (epoch seconds), "tz", "catch_up", "overlap", "window_s"},
where `call` holds the serialized arguments as Latin-1. For one of the code it is {"text", "words", "tz"}, so that it
can be shown even if its task is not known any more, and the timetable if that has no author's code. `moved` describes
the last change of its zone, or the zone that holds: see duey.scheduling.edits.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from huey.api import Task

from duey import errors
from duey.model.job import SCHEDULE, JobRecord
from duey.model.schedule import ScheduleRow
from duey.payload.serializer import Use
from duey.scheduling.huey_crontab import read_back
from duey.scheduling.isolation import reason_of
from duey.scheduling.timetable import LAST_INSTANT, At, Cron, Every, Minutes, Timetable
from duey.tasks.renamed import Arguments, ArgumentsUnfit, accepted

# Before jobs without a priority, so that a burst of 20,000 jobs does not delay a slot.
SLOT_PRIORITY = 100.0
OPTIONS = ("tz", "catch_up", "overlap", "window_s")
KINDS = ("cron", "every", "at")


@dataclass(frozen=True)
class ScheduleEntry:
    """A stored schedule with its task and timetable. Either is None if this process does not know it.

    Only `arguments`, `call` and `next_after` may run an author's code. If `runs_code` is true, they are called in a
    thread of their own (duey.scheduling.isolation)."""

    huey: Any
    row: ScheduleRow
    task: type[Task] | None
    timetable: Timetable | None
    spec: dict[str, Any]
    problem: str | None = None  # why it cannot run here, in a sentence
    is_read: bool = True  # False: its row cannot be read here

    @property
    def runnable(self) -> bool:
        """Whether this process can enqueue the jobs of its slots."""
        return self.task is not None and self.timetable is not None

    @property
    def runs_code(self) -> bool:
        """Whether computing its next slot or creating its job runs an author's code."""
        unique = getattr(self.task, "uniqueness", None)
        return (
            (self.timetable is not None and not self.timetable.is_ours)
            or (unique is not None and unique.key is not None)
            or callable(getattr(self.task, "accepts", None))
            or (self.stored is not None and self.huey.serializer.runs_code(self.stored))
        )

    @property
    def stored(self) -> bytes | None:
        """Its stored arguments; None for a schedule of the code."""
        return str(self.spec.get("call", "")).encode("latin-1", "replace") if self.row.source == "made" else None

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of its task. Raises whatever decoding them raises."""
        if self.stored is None:
            return (), {}
        args, kwargs = self.huey.serializer.deserialize(self.stored, use_of(self.row.name, self.spec))
        return tuple(args), dict(kwargs)

    @property
    def catch_up(self) -> str:
        """Which missed slots are caught up."""
        return (self.timetable and self.timetable.catch_up) or str(self.huey.settings.schedule.catch_up)

    @property
    def overlap(self) -> str:
        """What happens if the previous run has not ended."""
        return self.timetable.overlap if self.timetable else "skip"

    @property
    def window_s(self) -> float:
        """How far back missed slots are caught up, in seconds."""
        own = self.timetable.window_s if self.timetable else None
        return float(self.huey.settings.schedule.catch_up_window_s if own is None else own)

    @property
    def default_tz(self) -> str:
        """The time zone of the service."""
        return str(self.huey.settings.schedule.timezone)

    @property
    def tz(self) -> str:
        """Its time zone."""
        return (self.timetable and self.timetable.tz) or self.default_tz

    def why_moved(self, at: float) -> str | None:
        """If a slot is due only because the time zone was changed afterwards: a sentence that says so."""
        try:
            moved = self.spec["moved"]
            if at <= float(moved["at"]):
                return f"its time zone was changed from {moved['from']} to {moved['to']} after that"
        except (KeyError, TypeError, ValueError):
            pass
        return None

    def next_after(self, instant: float) -> float | None:
        """The first slot after `instant`, or None. Raises BrokenSchedule if the timetable returns an invalid time."""
        if self.timetable is None:
            return None
        first_in = getattr(self.timetable, "first_in", None)
        if first_in is not None and instant == self.row.since:
            return instant + max(0.001, float(first_in))  # after `since`, which counts as handled
        found = self.timetable.after(instant, self.default_tz)
        if found is not None and not instant < found <= LAST_INSTANT:  # also NaN
            raise errors.BrokenSchedule(
                f"expected a time after {instant:.3f} and before the year 10000, found {found!r}"
            )
        return found

    def upcoming(self, now: float, count: int) -> tuple[float, ...]:
        """The next slots; an overdue one only if no other follows."""
        found: list[float] = []
        at = overdue = self.next_after(self.row.last)
        if self.timetable is not None and at is not None and at <= now:
            at = self.next_after(self.timetable.resume(at, now))
        while at is not None and len(found) < count:
            found.append(at)
            at = self.next_after(at)
        return tuple(found) if found or overdue is None else (overdue,)

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise what `call` would come to with these arguments."""
        assert self.task is not None
        args, kwargs = self.converted(args, kwargs)
        unique = getattr(self.task, "uniqueness", None)
        if unique is not None and unique.key is not None:
            unique.key_of(task_name(self.row, self.spec), args, kwargs)

    def converted(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """Stored arguments as the task takes them now. Raises BrokenSchedule."""
        try:
            found = accepted(self.task, args, kwargs)
        except ArgumentsUnfit as exc:
            raise errors.BrokenSchedule(str(exc)) from exc
        refuse_misfit(self.task, *found)
        return found

    def call(self, at: float, by_hand: bool = False, by: str | None = None) -> tuple[Task, JobRecord]:
        """The call and the job of one slot. The id of the job is made from the slot, so that it can exist only once,
        unless it is run by hand. Raises BrokenSchedule if the call does not fit its task, and whatever an author's code
        raises."""
        assert self.task is not None
        args, kwargs = self.converted(*self.arguments())
        name = self.row.name if len(self.row.name) < 80 else uuid.uuid5(uuid.NAMESPACE_OID, self.row.name).hex
        once_more = f"-{uuid.uuid4().hex[:8]}" if by_hand else ""
        priority = SLOT_PRIORITY if self.task.default_priority is None else None
        task = self.task(args, kwargs, id=f"{name}@{stamp(at)}{once_more}", priority=priority)
        context = json.dumps({"schedule": self.row.name, "slot": at})
        job: JobRecord = self.huey.new_job(task, context=context, by=by or f"{SCHEDULE}{self.row.name}")
        return task, job


def version_of(row: ScheduleRow) -> str:
    """A short text that changes with the spec."""
    return hashlib.sha256(row.spec.encode(errors="replace")).hexdigest()[:16]


def refuse_misfit(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise BrokenSchedule if the task's function does not accept the arguments. It may have changed since."""
    given = {**kwargs, "task": None} if task.context else kwargs
    try:
        signature = inspect.signature(task.function)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return
    try:
        signature.bind(*args, **given)
    except TypeError as exc:
        raise errors.BrokenSchedule(f"its arguments do not fit task {task.__name__} any more: {exc}") from None


def stamp(at: float) -> str:
    """An instant as `2026-07-01T03:30:00Z`, with milliseconds if they are not zero. An instant outside of the calendar
    as a number."""
    if not 0 <= at <= LAST_INSTANT:
        return f"{at!r} s"
    whole, ms = divmod(round(at * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, timezone.utc):%Y-%m-%dT%H:%M:%S}{f'.{ms:03}' if ms else ''}Z"


def use_of(name: str, spec: Mapping[str, Any]) -> Use:
    """The use for which the call of a schedule is signed: its name, and everything that decides what runs and when."""
    kept = {key: value for key, value in spec.items() if value is not None and key not in ("call", "moved")}
    return "schedule", name, json.dumps(kept, sort_keys=True)


def spec_of(row: ScheduleRow) -> dict[str, Any]:
    """The spec of a row; empty if it cannot be read."""
    try:
        return dict(json.loads(row.spec))
    except (ValueError, TypeError):
        return {}


def code_row(name: str, now: float, spec: str = "{}") -> ScheduleRow:
    """A schedule of the code that begins now, on a whole second, so that the slots of every() are whole seconds."""
    since = float(math.floor(now))
    return ScheduleRow(name, "code", spec, False, since, since)


def of_row(huey: Any, row: ScheduleRow) -> ScheduleEntry:
    """The entry for a row. Never raises, so that a row that cannot be read does not affect others."""
    registry = huey._registry._registry
    spec: dict[str, Any] = {}
    try:
        spec = dict(json.loads(row.spec))
        task = registry.get(row.name if row.source == "code" else spec["task"])
        if row.source == "code" and huey.renamed.present(row.name) != row.name:
            task = None  # its slots are those of the present name
        if row.source == "code":
            table = timetable_of(task) if task else None
        else:
            str(spec["call"]).encode("latin-1")
            table = timetable_from(spec)
    except Exception as exc:
        problem = f"it cannot be read here: {reason_of(exc)}"
        return ScheduleEntry(huey, row, None, None, spec, problem, is_read=False)
    if task is not None and not getattr(task, "internal", False):
        return ScheduleEntry(huey, row, task, table, spec)
    name = task_name(row, spec)
    return ScheduleEntry(
        huey, row, None, table, spec, str(errors.InternalTask(name)) if task else f"no task {name} is known"
    )


def task_name(row: ScheduleRow, spec: Mapping[str, Any]) -> str:
    """The full name of its task."""
    return str(spec.get("task", row.name))


def timetable_of(task: type[Task]) -> Timetable | None:
    """The timetable of a periodic task's decorator, or None."""
    found = getattr(task, "timetable", None)
    if isinstance(found, Timetable):
        return found
    return (read_back(found) or Minutes(function=found)) if callable(found) else None


def timetable_from(spec: Mapping[str, Any]) -> Timetable:
    """The timetable in a spec. Raises Misconfigured, BadRequest."""
    options = {key: spec[key] for key in OPTIONS if spec.get(key) is not None}
    given = [key for key in KINDS if spec.get(key) is not None]
    if len(given) != 1:
        raise errors.BadRequest(f"a schedule has one of cron, every and at; found {' and '.join(given) or 'none'}")
    if given == ["cron"]:
        days = spec.get("days")
        return Cron(expression=spec["cron"], days=None if days is None else frozenset(days), **options)
    if given == ["every"]:
        return Every(seconds=spec["every"], first_in=spec.get("first_in"), **options)
    return At(instant=float(spec["at"]), **options)
