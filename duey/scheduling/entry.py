"""What is scheduled: the periodic tasks of the code, and the schedules that were made at run time.

The ledger keeps a row for each (duey.model.schedule). Its `spec` is JSON: for one that was made {"task", "call", one of
"cron", "every" (seconds) and "at" (epoch s), "tz", "catch_up", "overlap", "window_s"}, where `call` is the serialized
arguments as Latin-1; for one of the code {"text", "words", "tz"}, so that it can be shown also where its task is not
known any more; of a timetable without an author's code also what it was written as. `moved` tells of the last change of
its zone: see duey.scheduling.edits.
"""

from __future__ import annotations

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
from duey.model.job import NewJob
from duey.model.schedule import ScheduleRow
from duey.payload.serializer import Use
from duey.scheduling.huey_crontab import read_back
from duey.scheduling.isolation import reason_of
from duey.scheduling.timetable import LAST_INSTANT, At, Cron, Every, Minutes, Timetable

# Before what was deferred without a priority: a slot has its time, and a burst of 20,000 jobs must not take it away.
SLOT_PRIORITY = 100.0
OPTIONS = ("tz", "catch_up", "overlap", "window_s")
KINDS = ("cron", "every", "at")


@dataclass(frozen=True)
class ScheduleEntry:
    """A schedule on record with its task and timetable; either is None where this process cannot tell it.

    No code of an author runs before `arguments`, `call` or `next_after`: where `runs_code` says that some would, these
    are asked in a thread of their own (duey.scheduling.isolation)."""

    huey: Any
    row: ScheduleRow
    task: type[Task] | None
    timetable: Timetable | None
    spec: dict[str, Any]
    problem: str | None = None  # why it cannot run here, in a sentence
    is_read: bool = True  # False: what stands in its row makes no sense here

    @property
    def runnable(self) -> bool:
        """Whether this process can bring its slots to life."""
        return self.task is not None and self.timetable is not None

    @property
    def runs_code(self) -> bool:
        """Whether code of an author runs when its next slot or its job is made."""
        unique = getattr(self.task, "uniqueness", None)
        return (
            (self.timetable is not None and not self.timetable.is_ours)
            or (unique is not None and unique.key is not None)
            or (self._stored is not None and self.huey.serializer.runs_code(self._stored))
        )

    @property
    def _stored(self) -> bytes | None:
        """Its arguments as they are stored; one of the code has none."""
        return str(self.spec.get("call", "")).encode("latin-1", "replace") if self.row.source == "made" else None

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What its task is called with. Raises whatever reading it comes to."""
        if self._stored is None:
            return (), {}
        args, kwargs = self.huey.serializer.deserialize(self._stored, use_of(self.row.name, self.spec))
        return tuple(args), dict(kwargs)

    @property
    def catch_up(self) -> str:
        """What to do about slots that were missed."""
        return (self.timetable and self.timetable.catch_up) or str(self.huey.settings.schedule.catch_up)

    @property
    def overlap(self) -> str:
        """What to do when the run before has not ended."""
        return self.timetable.overlap if self.timetable else "skip"

    @property
    def window_s(self) -> float:
        """How far back missed slots are caught up."""
        own = self.timetable.window_s if self.timetable else None
        return float(self.huey.settings.schedule.catch_up_window_s if own is None else own)

    @property
    def default_tz(self) -> str:
        """The zone of the service."""
        return str(self.huey.settings.schedule.timezone)

    @property
    def tz(self) -> str:
        """The zone of its clock."""
        return (self.timetable and self.timetable.tz) or self.default_tz

    def why_moved(self, at: float) -> str | None:
        """That a slot was due only by another zone than the one that held then, if it was so."""
        try:
            said = self.spec["moved"]
            if at <= float(said["at"]):
                return f"its time zone was changed from {said['from']} to {said['to']} after that"
        except (KeyError, TypeError, ValueError):
            pass
        return None

    def next_after(self, instant: float) -> float | None:
        """The first slot later than `instant`. Raises BrokenSchedule where that is no time that a clock shows."""
        if self.timetable is None:
            return None
        first_in = getattr(self.timetable, "first_in", None)
        if first_in is not None and instant == self.row.since:
            return instant + max(0.001, float(first_in))  # later than `since`, which counts as dealt with
        found = self.timetable.after(instant, self.default_tz)
        if found is not None and not instant < found <= LAST_INSTANT:  # also NaN
            raise errors.BrokenSchedule(
                f"expected a time after {instant:.3f} and before the year 10000, found {found!r}"
            )
        return found

    def upcoming(self, now: float, count: int) -> tuple[float, ...]:
        """The next slots; one that is overdue only where no other follows it."""
        found: list[float] = []
        at = overdue = self.next_after(self.row.last)
        if self.timetable is not None and at is not None and at <= now:
            at = self.next_after(self.timetable.resume(at, now))
        while at is not None and len(found) < count:
            found.append(at)
            at = self.next_after(at)
        return tuple(found) if found or overdue is None else (overdue,)

    def call(self, at: float, by_hand: bool = False, by: str | None = None) -> tuple[Task, NewJob]:
        """The call and the job of one slot. Its id is the slot's, so that it can exist only once, unless it is run by
        hand. Raises BrokenSchedule where the call does not fit its task, and whatever its author's code comes to."""
        assert self.task is not None
        args, kwargs = self.arguments()
        refuse_misfit(self.task, args, kwargs)
        name = self.row.name if len(self.row.name) < 80 else uuid.uuid5(uuid.NAMESPACE_OID, self.row.name).hex
        once_more = f"-{uuid.uuid4().hex[:8]}" if by_hand else ""
        priority = SLOT_PRIORITY if self.task.default_priority is None else None
        task = self.task(args, kwargs, id=f"{name}@{stamp(at)}{once_more}", priority=priority)
        context = json.dumps({"schedule": self.row.name, "slot": at})
        job: NewJob = self.huey.new_job(task, context=context, by=by or f"schedule:{self.row.name}")
        return task, job


def refuse_misfit(task: type[Task], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise BrokenSchedule where the task's function cannot be called so: it may have changed since."""
    given = {**kwargs, "task": None} if task.context else kwargs
    try:
        signature = inspect.signature(task.function)
    except (TypeError, ValueError):  # some functions written in C cannot tell
        return
    try:
        signature.bind(*args, **given)
    except TypeError as exc:
        raise errors.BrokenSchedule(f"its arguments do not fit task {task.__name__} any more: {exc}") from None


def stamp(at: float) -> str:
    """`2026-07-01T03:30:00Z`, with milliseconds where there are some: two slots are never so near. What no calendar
    holds, as a number."""
    if not 0 <= at <= LAST_INSTANT:
        return f"{at!r} s"
    whole, ms = divmod(round(at * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, timezone.utc):%Y-%m-%dT%H:%M:%S}{f'.{ms:03}' if ms else ''}Z"


def use_of(name: str, spec: Mapping[str, Any]) -> Use:
    """What the call of a schedule is signed for: its name, and all that decides what runs, and when."""
    kept = {key: value for key, value in spec.items() if value is not None and key not in ("call", "moved")}
    return "schedule", name, json.dumps(kept, sort_keys=True)


def spec_of(row: ScheduleRow) -> dict[str, Any]:
    """The spec of a row; an empty one where it cannot be read."""
    try:
        return dict(json.loads(row.spec))
    except (ValueError, TypeError):
        return {}


def code_row(name: str, now: float, spec: str = "{}") -> ScheduleRow:
    """A schedule of the code that begins now: on a whole second, so that every() keeps to whole ones."""
    since = float(math.floor(now))
    return ScheduleRow(name, "code", spec, False, since, since)


def of_row(huey: Any, row: ScheduleRow) -> ScheduleEntry:
    """A row with what this process knows of it. Never raises: one that cannot be read here is none of the others'."""
    registry = huey._registry._registry
    spec: dict[str, Any] = {}
    try:
        spec = dict(json.loads(row.spec))
        task = registry.get(row.name if row.source == "code" else spec["task"])
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
    """The timetable that a periodic task was decorated with."""
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
