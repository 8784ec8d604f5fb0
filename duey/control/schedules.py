"""The operations on schedules that API, monitor and command line share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from duey import clock, errors
from duey.control.call import bind
from duey.control.edit import edited
from duey.control.schedule_views import SHOWN_NEXT, Showing
from duey.control.schedule_views import Schedule as Schedule
from duey.control.schedule_views import Slot as Slot
from duey.execution.huey import DurableHuey
from duey.model.job import Edit, WorkerInfo
from duey.model.schedule import DEFERRED, KEPT, MISSED, SKIPPED, STANDS_S, OccurrenceRow, ScheduleRow
from duey.payload.plain import JOB, LISTED
from duey.scheduling import edits, entry
from duey.scheduling.isolation import Aside, reason_of
from duey.scheduling.timetable import CATCH_UP as CATCH_UP
from duey.scheduling.timetable import OVERLAP as OVERLAP
from duey.scheduling.timetable import Cron, heeded
from duey.scheduling.timezones import zone as zone
from duey.tasks.registry import KnownTasks

NAME_PATTERN = "1 to 80 of A-Z a-z 0-9 _ . : -"
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
OUTCOMES = (
    "on time", "late", "running", "failed", "canceled", "expired", "waiting", "skipped", "missed",
)  # fmt: skip
BY_HAND_S = 10.0  # time for an author's code to create the job of a run by hand
NEAR_S = 0.0015  # tolerance for the instant of a slot that is given in milliseconds


@dataclass(frozen=True)
class ScheduleRequest:
    """A schedule to create: a task, its arguments, and one of cron, every_s (seconds) and at (epoch seconds)."""

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
    version: str | None = None  # of the schedule that is to be changed, as it was seen


class Preview(NamedTuple):
    """When a schedule would run: in words, in which time zone, and the next times."""

    words: str
    tz: str
    next_at: tuple[float, ...]


class ScheduleService:
    """The operations on the schedules of one `huey`."""

    def __init__(self, huey: DurableHuey, known: KnownTasks) -> None:
        self._huey, self._known = huey, known
        self._showing = Showing(huey, known)

    @property
    def _schedule_store(self) -> Any:
        return self._huey.storage.schedule_store

    def all(self) -> list[Schedule]:
        """Every schedule, by name. Those of the code are included even if no consumer has stored them yet."""
        rows = {row.name: row for row in self._schedule_store.schedules()}
        for name in self._of_code():
            rows.setdefault(name, entry.code_row(name, clock.now()))
        return self._showing.shown([rows[name] for name in sorted(rows)], LISTED)

    def get(self, name: str) -> Schedule:
        """One schedule. Raises UnknownSchedule."""
        return self.shown(self._row(name))

    def shown(self, row: ScheduleRow) -> Schedule:
        """The display form of a schedule as it was stored."""
        return self._showing.shown([row])[0]

    @property
    def standing_reads(self) -> tuple[Callable[[], object], ...]:
        """What `standing_since` reads, for `read_ahead`."""
        return self._schedule_store.schedules, self._schedule_store.noted_s

    def standing_since(self, workers: Sequence[WorkerInfo]) -> float | None:
        """Since when no consumer runs schedules although there are some (epoch seconds). None if one does, or if these
        workers have just started."""
        rows = self._schedule_store.schedules()
        if all(row.paused for row in rows) and self._of_code() <= {row.name for row in rows}:
            return None
        now, noted_s = clock.now(), self._schedule_store.noted_s()
        begun_at = min((each.started_at for each in workers if each.alive), default=None)
        begun_s = None if begun_at is None else now - begun_at
        if any(age_s is not None and age_s < STANDS_S for age_s in (noted_s, begun_s)):
            return None
        return begun_at if noted_s is None else now - noted_s

    def make(self, name: str, request: ScheduleRequest) -> ScheduleRow:
        """Create a schedule that begins now. Raises ScheduleExists, UnknownTask, InvalidArguments, BadSchedule."""
        if not NAME.fullmatch(name):
            raise errors.BadSchedule("name", f"expected {NAME_PATTERN}, found {name[:100]!r}")
        now = float(math.floor(clock.now()))
        row = ScheduleRow(name, "made", self._spec(name, request), False, now, now)
        if name in self._of_code() or not self._schedule_store.add(row):
            raise errors.ScheduleExists(name)
        return row

    def preview(self, request: ScheduleRequest) -> Preview:
        """When a schedule would run that began now; task and arguments of the request do not matter. Raises
        BadSchedule."""
        spec, now = when_of(request), clock.now()
        check(spec)
        row = ScheduleRow("", "made", json.dumps({**spec, "task": "", "call": ""}), False, now, now)
        item = entry.of_row(self._huey, row)
        assert item.timetable is not None
        return Preview(item.timetable.words, item.tz, item.upcoming(now, SHOWN_NEXT))

    def change(self, name: str, request: ScheduleRequest, edit: Edit | None = None) -> ScheduleRow:
        """Replace what a schedule that was made here runs, and when; another expression counts from now. `edit`: the
        call as it is stored with these changes, instead of the request's. Raises ScheduleChanged where somebody else
        changed it after it was seen."""
        row = self._made(name, "changed")
        if request.version not in (None, entry.version_of(row)):
            raise errors.ScheduleChanged(name)
        item = entry.of_row(self._huey, row)
        if edit is not None:
            args, kwargs = self._edited(item, edit)
            request = replace(request, args=args, kwargs=kwargs)
        before, now = item.spec, clock.now()
        after, last = json.loads(self._spec(name, request, before.get("at"))), None
        if all(before.get(kind) == after.get(kind) for kind in entry.KINDS):
            old, new = (each.get("tz") or item.default_tz for each in (before, after))
            after |= edits.moved(before, old, new, now)
        else:
            edits.settle(self._huey, row, before, now)
            last = float(math.floor(now))
        kept = json.dumps(after)
        for seen in self._schedule_store.schedules(name):  # a slot may have fallen due since
            if seen.spec == row.spec and self._schedule_store.replace(seen, kept, seen.last if last is None else last):
                return seen._replace(spec=kept, last=seen.last if last is None else last)
        raise errors.ScheduleChanged(name)

    def remove(self, name: str) -> None:
        """Remove a schedule that was created at run time, or one that the code does not define any more."""
        if self._row(name).source == "made" or name in self._of_code():
            self._made(name, "removed")
        self._schedule_store.remove(name)

    def pause(self, name: str) -> None:
        """Pause a schedule. Slots that are due meanwhile are skipped."""
        self._put_on_record(name)
        self._schedule_store.pause(name, True)

    def resume(self, name: str) -> None:
        """End a pause."""
        self._row(name)
        self._schedule_store.pause(name, False)

    def run_now(self, name: str, at: float | None = None, by: str | None = None) -> str:
        """Run a schedule's task now, or with `at` for that slot, which was missed or skipped. `by`: who asks. Returns
        the id of the job. Raises UnknownSchedule, UnknownTask, BadRequest, Conflict, BrokenSchedule."""
        row = self._row(name)
        item = entry.of_row(self._huey, row)
        if not item.is_read:
            raise errors.BrokenSchedule(f"schedule {name}: {item.problem}")
        if not item.runnable:
            known = [self._known.full(cls) for cls in self._known.all()]
            raise errors.UnknownTask(entry.task_name(row, item.spec), known)
        now = clock.now()
        slot_at = now if at is None else self._not_run(name, at)
        call = self._call(item, slot_at, by)
        if not self._schedule_store.run_now(
            OccurrenceRow(name, slot_at, DEFERRED, call[1].id, "run by hand", now), call[1]
        ):
            raise errors.ScheduleChanged(name)
        self._huey._announce([call[0]])
        return call[1].id

    # helpers

    def _call(self, item: entry.ScheduleEntry, at: float, by: str | None) -> Any:
        """The call of a run by hand. Raises BrokenSchedule if it cannot be created within BY_HAND_S."""
        try:
            return self._aside(item, partial(item.call, at, by_hand=True, by=by))
        except Exception as exc:
            raise errors.BrokenSchedule(f"schedule {item.row.name}: its job cannot be made: {reason_of(exc)}") from exc

    def _aside(self, item: entry.ScheduleEntry, ask: Callable[[], Any]) -> Any:
        """Call `ask`, in a thread of its own if it may run an author's code."""
        if not item.runs_code:
            return ask()
        answer = Aside().ask(item.row.name, ask)
        answer.wait(BY_HAND_S)
        return answer.value()

    def _not_run(self, name: str, at: float) -> float:
        """The exact instant of a slot that did not run. Raises BadRequest."""
        for slot, _ in self._schedule_store.slots_of(name, KEPT):
            if abs(slot.at - at) < NEAR_S and slot.outcome in (MISSED, SKIPPED):
                return float(slot.at)
        raise errors.BadRequest(f"schedule {name} has no missed slot at {entry.stamp(at)}: nothing was run")

    def _of_code(self) -> set[str]:
        return {self._known.full(cls) for cls in self._huey._registry._periodic_tasks}

    def _row(self, name: str) -> ScheduleRow:
        for row in self._schedule_store.schedules(name):
            found: ScheduleRow = row
            return found
        if name in self._of_code():
            return entry.code_row(name, clock.now())
        raise errors.UnknownSchedule(
            name, sorted({row.name for row in self._schedule_store.schedules()} | self._of_code())
        )

    def _put_on_record(self, name: str) -> None:
        self._schedule_store.add(self._row(name))

    def _made(self, name: str, verb: str) -> ScheduleRow:
        row = self._row(name)
        if row.source != "made":
            raise errors.ScheduleOfCode(name, verb)
        return row

    def _edited(self, item: entry.ScheduleEntry, edit: Edit) -> tuple[list[Any], dict[str, Any]]:
        """The stored call with a person's changes. Raises BrokenSchedule if it cannot be read."""
        try:
            args, kwargs = self._aside(item, item.arguments)
        except Exception as exc:
            problem = f"schedule {item.row.name}: its arguments cannot be read, so create it again: {reason_of(exc)}"
            raise errors.BrokenSchedule(problem) from exc
        task = entry.task_name(item.row, item.spec)
        redacted = self._huey.display.redacted
        return edited(task, args, kwargs, lambda: redacted(task, args, kwargs, None, JOB, item.stored), edit)

    def _spec(self, name: str, request: ScheduleRequest, known_at: float | None = None) -> str:
        cls = self._known.find(request.task)
        args, kwargs = bind(self._known.signature(cls), request.args, request.kwargs or {})
        spec = {"task": self._known.full(cls), **when_of(request)}
        call = self._huey.serializer.serialize((args, kwargs), use=entry.use_of(name, spec))
        spec["call"] = call.decode("latin-1")
        check(spec, known_at)
        spec |= edits.zone_noted(spec, str(self._huey.settings.schedule.timezone))
        return json.dumps({key: value for key, value in spec.items() if value is not None})


def when_of(request: ScheduleRequest) -> dict[str, Any]:
    """The part of a spec that says when, and how."""
    return {
        "cron": request.cron, "every": request.every_s, "at": request.at, "tz": request.tz,
        "catch_up": request.catch_up, "overlap": request.overlap, "window_s": request.window_s,
    }  # fmt: skip


def check(spec: dict[str, Any], known_at: float | None = None) -> None:
    """Check the spec of a schedule. Raises BadSchedule, which names the field. `known_at`: the present `at` of a
    schedule that is changed, which may be in the past."""
    for field in entry.OPTIONS:
        refuse(field, {"every": 60, field: spec[field]})
    given = [kind for kind in entry.KINDS if spec[kind] is not None]
    refuse(given[0] if len(given) == 1 else "", spec)
    if spec["at"] not in (None, known_at) and spec["at"] <= clock.now():
        raise errors.BadSchedule("at", f"expected a future time, found {entry.stamp(spec['at'])}")


def refuse(field: str, spec: dict[str, Any]) -> None:
    """Raise BadSchedule for this field if the spec is invalid."""
    try:
        table = entry.timetable_from(spec)
        if isinstance(table, Cron):
            heeded(table)
    except (errors.Misconfigured, errors.BadRequest) as exc:
        raise errors.BadSchedule(field, str(exc)) from None
