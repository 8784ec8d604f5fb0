"""Schedules in memory: the verbs and errors of duey.control.schedules, with no ledger behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from duey.control.schedules import NAME, Schedule, ScheduleRequest, ScheduleService, Slot, check
from duey.errors import BadRequest, BadSchedule, ScheduleExists, ScheduleOfCode, SlotTaken, UnknownSchedule
from duey.model.job import JobRequest

NIGHT = Schedule(
    name="periodic.night", task="night", source="code", expression="0 3 * * *", words="At 03:00 every day", tz="UTC",
    catch_up="once", overlap="skip", paused=False, known=True, last_at=1_780_000_000.0,
    next_at=(1_780_100_000.0, 1_780_186_400.5),
    slots=(
        Slot(1_780_000_000.0, "on time", "periodic.night@1"),
        Slot(1_779_913_600.0, "missed", None, "no consumer 02:00-03:40 (UTC)"),
    ),
    args=[], kwargs={}, qualname="periodic.night", window_s=86400.0,
)  # fmt: skip


class FakeSchedules(ScheduleService):
    """`ran` notes what was run by hand, with the slot."""

    def __init__(self, control: Any) -> None:
        self._control = control
        self.kept = {NIGHT.name: NIGHT}
        self.ran: list[tuple[str, float | None]] = []

    def all(self) -> list[Schedule]:
        self._control._reach()
        return [self.kept[name] for name in sorted(self.kept)]

    def get(self, name: str) -> Schedule:
        self._control._reach()
        if name not in self.kept:
            raise UnknownSchedule(name, list(self.kept))
        return self.kept[name]

    def make(self, name: str, request: ScheduleRequest) -> Schedule:
        self._control._reach()
        if not NAME.fullmatch(name):
            raise BadSchedule("name", "expected another name")
        if name in self.kept:
            raise ScheduleExists(name)
        self.kept[name] = self._made(name, request)
        return self.kept[name]

    def change(self, name: str, request: ScheduleRequest) -> Schedule:
        self._of_people(name, "changed")
        self.kept[name] = self._made(name, request)
        return self.kept[name]

    def remove(self, name: str) -> None:
        self._of_people(name, "removed")
        del self.kept[name]

    def pause(self, name: str) -> None:
        self.kept[name] = replace(self.get(name), paused=True)

    def resume(self, name: str) -> None:
        self.kept[name] = replace(self.get(name), paused=False)

    def run_now(self, name: str, at: float | None = None, by: str | None = None) -> str:
        schedule = self.get(name)
        if at is not None and at not in [slot.at for slot in schedule.slots if slot.outcome == "missed"]:
            raise BadRequest(f"schedule {name} has no missed slot there: nothing was run")
        if (name, at) in self.ran and at is not None:
            raise SlotTaken(name)
        self.ran.append((name, at))
        return f"{name}@{len(self.ran)}"

    def _of_people(self, name: str, verb: str) -> None:
        if self.get(name).source != "made":
            raise ScheduleOfCode(name, verb)

    def _made(self, name: str, request: ScheduleRequest) -> Schedule:
        task = self._control._checked(JobRequest(request.task, request.args, request.kwargs or {}), None)
        spec = {
            "cron": request.cron, "every": request.every_s, "at": request.at, "tz": request.tz,
            "catch_up": request.catch_up, "overlap": request.overlap, "window_s": request.window_s,
        }  # fmt: skip
        check(spec)
        expression = request.cron or (f"every {request.every_s:g} s" if request.every_s else f"at {request.at}")
        return Schedule(
            name=name, task=task.name, source="made", expression=expression, words=expression, tz=request.tz or "UTC",
            catch_up=request.catch_up or "once", overlap=request.overlap or "skip", paused=False, known=True,
            last_at=None, next_at=(), slots=(), args=list(request.args), kwargs=dict(request.kwargs or {}),
            qualname=task.qualname, window_s=86400.0 if request.window_s is None else request.window_s,
        )  # fmt: skip
