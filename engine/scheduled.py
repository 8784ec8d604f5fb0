"""What is scheduled: the periodic tasks of the code, and the schedules that were made at run time."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from huey.api import Task

from engine import errors
from engine.jobs import NewJob
from engine.ledger import ScheduleRow
from engine.timetable import At, Cron, Every, Minutes, Timetable


@dataclass(frozen=True)
class Scheduled:
    """A schedule on record with its task and timetable; `task` is None where this process does not know it."""

    huey: Any
    row: ScheduleRow
    task: type[Task] | None
    timetable: Timetable | None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None

    @property
    def runnable(self) -> bool:
        """Whether this process can bring its slots to life."""
        return self.task is not None and self.timetable is not None

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
    def tz(self) -> str:
        """The zone of its clock."""
        return (self.timetable and self.timetable.tz) or str(self.huey.settings.schedule.timezone)

    def next_after(self, instant: float) -> float | None:
        """The first slot later than `instant`."""
        if self.timetable is None:
            return None
        first_in = getattr(self.timetable, "first_in", None)
        if first_in is not None and instant == self.row.since:
            return instant + float(first_in)
        return self.timetable.after(instant, str(self.huey.settings.schedule.timezone))

    def new_job(self, at: float, by_hand: bool = False) -> NewJob:
        """The job of one slot; its id is the slot's, so that it can exist only once, unless a person asked for it."""
        assert self.task is not None
        name = self.row.name if len(self.row.name) < 80 else uuid.uuid5(uuid.NAMESPACE_OID, self.row.name).hex
        once_more = f"-{uuid.uuid4().hex[:8]}" if by_hand else ""
        task = self.task(self.args, dict(self.kwargs or {}), id=f"{name}@{at:.0f}{once_more}")
        job: NewJob = self.huey.new_job(task)
        return job._replace(context=json.dumps({"schedule": self.row.name, "slot": at}))


def sync(huey: Any, now: float) -> None:
    """Put the periodic tasks of the code on record; one that is there keeps its `last`."""
    known = {row.name: row for row in huey.storage.ledger.schedules()}
    for cls in huey._registry._periodic_tasks:
        name = huey._registry.task_to_string(cls)
        if name not in known:
            huey.storage.ledger.add(ScheduleRow(name, "code", "{}", False, now, now))


def all_of(huey: Any) -> list[Scheduled]:
    """Every schedule on record."""
    return [of_row(huey, row) for row in huey.storage.ledger.schedules()]


def of_row(huey: Any, row: ScheduleRow) -> Scheduled:
    """A row with what this process knows of it."""
    registry = huey._registry._registry
    if row.source == "code":
        task = registry.get(row.name)
        return Scheduled(huey, row, task, timetable_of(task) if task else None)
    spec = json.loads(row.spec)
    args, kwargs = huey.serializer.deserialize(spec["call"].encode())
    return Scheduled(huey, row, registry.get(spec["task"]), timetable_from(spec), tuple(args), kwargs)


def timetable_of(task: type[Task]) -> Timetable | None:
    """The timetable that a periodic task was decorated with."""
    found = getattr(task, "timetable", None)
    if isinstance(found, Timetable):
        return found
    return Minutes(function=found) if callable(found) else None


def timetable_from(spec: dict[str, Any]) -> Timetable:
    """The timetable in a spec: one of cron, every (seconds) and at (epoch s). Raises Misconfigured, BadRequest."""
    options = {key: spec[key] for key in ("tz", "catch_up", "overlap", "window_s") if spec.get(key) is not None}
    given = [key for key in ("cron", "every", "at") if spec.get(key) is not None]
    if len(given) != 1:
        raise errors.BadRequest(f"a schedule has one of cron, every and at; found {', '.join(given) or 'none'}")
    if given == ["cron"]:
        return Cron(expression=str(spec["cron"]), **options)
    if given == ["every"]:
        return Every(seconds=float(spec["every"]), **options)
    return At(instant=float(spec["at"]), **options)
