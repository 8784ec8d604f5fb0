"""The verbs on schedules that web, API and operator use: list, make, change, remove, pause, resume, run now."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import clock, errors, scheduled
from engine.durable import DurableHuey
from engine.ledger import ScheduleRow, SlotRow
from engine.scheduled import Scheduled
from engine.tasks_known import KnownTasks

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
SHOWN_SLOTS = 60


@dataclass(frozen=True)
class Slot:
    """A due time and what became of it: on time, late, failed, running, skipped or missed; `reason` says why."""

    at: float
    outcome: str
    job_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Schedule:
    """A schedule as people and programs are shown it."""

    name: str
    task: str  # short name, or the full one where it is not known here
    source: str  # 'code' or 'made'
    expression: str
    words: str
    tz: str
    catch_up: str
    overlap: str
    paused: bool
    known: bool  # whether this process knows its task
    last_at: float | None
    next_at: tuple[float, ...]  # up to five
    slots: tuple[Slot, ...]  # newest first
    args: list[Any]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class ScheduleRequest:
    """A schedule to make: a task, its arguments, and one of cron, every_s and at."""

    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
    cron: str | None = None
    every_s: float | None = None
    at: float | None = None
    tz: str | None = None
    catch_up: str | None = None
    overlap: str | None = None
    window_s: float | None = None


class Timetables:
    """All verbs over the schedules of one `huey`."""

    def __init__(self, huey: DurableHuey, known: KnownTasks) -> None:
        self._huey, self._known = huey, known

    @property
    def _ledger(self) -> Any:
        return self._huey.storage.ledger

    def all(self) -> list[Schedule]:
        """Every schedule, by name; those of the code also before a consumer has put them on record."""
        rows = {row.name: row for row in self._ledger.schedules()}
        for cls in self._huey._registry._periodic_tasks:
            name = self._known.full(cls)
            rows.setdefault(name, ScheduleRow(name, "code", "{}", False, clock.now(), clock.now()))
        return [self._shown(rows[name]) for name in sorted(rows)]

    def get(self, name: str) -> Schedule:
        """One schedule. Raises UnknownSchedule."""
        return self._shown(self._row(name))

    def make(self, name: str, request: ScheduleRequest) -> Schedule:
        """Keep a new schedule; it begins now. Raises ScheduleExists, UnknownTask, InvalidArguments, BadRequest."""
        if not NAME.fullmatch(name):
            raise errors.BadRequest("a schedule's name has 1 to 80 letters, digits and any of _ . : -")
        now = clock.now()
        if not self._ledger.add(ScheduleRow(name, "made", self._spec(request), False, now, now)):
            raise errors.ScheduleExists(name)
        return self.get(name)

    def change(self, name: str, request: ScheduleRequest) -> Schedule:
        """Replace what a schedule that was made here runs, and when; its slots count from now."""
        row = self._made(name, "changed")
        self._ledger.add(row._replace(spec=self._spec(request), last=clock.now()), replace=True)
        return self.get(name)

    def remove(self, name: str) -> None:
        """Forget a schedule that was made here."""
        self._made(name, "removed")
        self._ledger.remove(name)

    def pause(self, name: str) -> None:
        """No slot comes to life until it is resumed; what is due meanwhile counts as missed."""
        self._put_on_record(name)
        self._ledger.pause(name, True)

    def resume(self, name: str) -> None:
        """End a pause."""
        self._row(name)
        self._ledger.pause(name, False)

    def run_now(self, name: str, at: float | None = None) -> str:
        """Run a schedule's task once, now; with `at`, for that slot of it (one that was missed). The job's id."""
        item = scheduled.of_row(self._huey, self._row(name))
        if not item.runnable:
            raise errors.UnknownTask(name, [self._known.full(cls) for cls in self._known.all()])
        now = clock.now()
        slot_at = now if at is None else at
        missed = {slot.at for slot, _ in self._ledger.slots_of(name, 500) if slot.outcome == "missed"}
        if at is not None and at not in missed:
            raise errors.BadRequest(f"schedule {name} has no missed slot at {at:g}: nothing was run")
        job = item.new_job(slot_at, by_hand=True)
        self._ledger.run_now(SlotRow(name, slot_at, "deferred", job.id, "run by hand", now), job)
        return job.id

    # what the verbs are made of

    def _row(self, name: str) -> ScheduleRow:
        for row in self._ledger.schedules():
            if row.name == name:
                return row
        for cls in self._huey._registry._periodic_tasks:
            if self._known.full(cls) == name:
                return ScheduleRow(name, "code", "{}", False, clock.now(), clock.now())
        raise errors.UnknownSchedule(name, [row.name for row in self._ledger.schedules()])

    def _put_on_record(self, name: str) -> None:
        self._ledger.add(self._row(name))

    def _made(self, name: str, verb: str) -> ScheduleRow:
        row = self._row(name)
        if row.source != "made":
            raise errors.ScheduleOfCode(name, verb)
        return row

    def _spec(self, request: ScheduleRequest) -> str:
        cls = self._known.find(request.task)
        args, kwargs = self._known.signature(cls).bind(request.args, request.kwargs or {})
        spec = {
            "task": self._known.full(cls), "cron": request.cron, "every": request.every_s, "at": request.at,
            "tz": request.tz, "catch_up": request.catch_up, "overlap": request.overlap, "window_s": request.window_s,
            "call": self._huey.serializer.serialize((args, kwargs)).decode(),
        }  # fmt: skip
        try:
            scheduled.timetable_from(spec)
        except errors.Misconfigured as exc:
            raise errors.BadRequest(str(exc)) from None
        return json.dumps({key: value for key, value in spec.items() if value is not None})

    def _shown(self, row: ScheduleRow) -> Schedule:
        item = scheduled.of_row(self._huey, row)
        slots = tuple(shown_slot(*each) for each in self._ledger.slots_of(row.name, SHOWN_SLOTS))
        qualname = self._known.full(item.task) if item.task else str(json.loads(row.spec).get("task", row.name))
        args, kwargs = self._huey.composer.redacted(qualname, list(item.args), dict(item.kwargs or {}))
        ran = [slot.at for slot in slots if slot.job_id]
        return Schedule(
            name=row.name, task=self._known.short(qualname), source=row.source,
            expression=item.timetable.text if item.timetable else "", 
            words=item.timetable.words if item.timetable else "",
            tz=item.tz, catch_up=item.catch_up, overlap=item.overlap, paused=row.paused, known=item.task is not None,
            last_at=ran[0] if ran else None, next_at=next_slots(item), slots=slots, args=args, kwargs=kwargs,
        )  # fmt: skip


def next_slots(item: Scheduled, count: int = 5) -> tuple[float, ...]:
    """The next due instants."""
    found: list[float] = []
    at = item.next_after(item.row.last)
    while at is not None and len(found) < count:
        found.append(at)
        at = item.next_after(at)
    return tuple(found)


def shown_slot(row: SlotRow, state: str | None) -> Slot:
    """A slot's outcome in one word, from its own and its job's."""
    outcome = row.outcome
    if outcome == "deferred":
        if state in ("failed", "canceled", "expired"):
            outcome = state
        elif state == "unfinished":
            outcome = "running"
        else:
            outcome = "late" if row.reason and row.reason.startswith("late") else "on time"
    return Slot(row.at, outcome, row.job_id, row.reason)
