"""The schedules of a scene: two of the code, one that was made at run time, and the verbs on them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from duey.control.schedules import Schedule, ScheduleRequest, Slot
from duey.errors import BadRequest, ScheduleExists, ScheduleOfCode, UnknownSchedule
from duey.model.job import Edit


class SceneSchedules:
    """What `control.schedules` answers, from a dict; `ran` notes what was run by hand."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.kept: dict[str, Schedule] = {}
        self.ran: list[tuple[str, float | None]] = []
        self.away: Exception | None = None

    def all(self) -> list[Schedule]:
        if self.away:
            raise self.away
        return list(self.kept.values())

    def get(self, name: str) -> Schedule:
        if name not in self.kept:
            raise UnknownSchedule(name, list(self.kept))
        return self.kept[name]

    def make(self, name: str, request: ScheduleRequest) -> Schedule:
        if name in self.kept:
            raise ScheduleExists(name)
        if not name or " " in name:
            raise BadRequest("a schedule's name has 1 to 80 letters, digits and any of _ . : -")
        self.kept[name] = self._made(name, request)
        return self.kept[name]

    def change(self, name: str, request: ScheduleRequest, edit: Edit | None = None) -> Schedule:
        if self.get(name).source != "made":
            raise ScheduleOfCode(name, "changed")
        self.kept[name] = self._made(name, request)
        return self.kept[name]

    def remove(self, name: str) -> None:
        del self.kept[name]

    def pause(self, name: str) -> None:
        self.kept[name] = replace(self.get(name), paused=True)

    def resume(self, name: str) -> None:
        self.kept[name] = replace(self.get(name), paused=False)

    def run_now(self, name: str, at: float | None = None, by: str | None = None) -> str:
        schedule = self.get(name)
        if at is not None and at not in [slot.at for slot in schedule.slots if slot.outcome == "missed"]:
            raise BadRequest(f"schedule {name} has no missed slot at {at:g}: nothing was run")
        self.ran.append((name, at))
        return f"{name}@{len(self.ran)}"

    def _made(self, name: str, request: ScheduleRequest) -> Schedule:
        if request.cron == "61 * * * *":
            raise BadRequest("cron expression '61 * * * *': 61 is no minute")
        expression = request.cron or (f"every {request.every_s:g} s" if request.every_s else f"at {request.at:g}")
        return schedule(
            name, request.task.rpartition(".")[2], expression, expression, (self.clock() + 60,), source="made",
            args=list(request.args), kwargs=dict(request.kwargs or {}), tz=request.tz or "UTC",
            catch_up=request.catch_up or "once", overlap=request.overlap or "skip",
        )  # fmt: skip


def schedule(name: str, task: str, expression: str, words: str, next_at: tuple[float, ...], **changes: Any) -> Schedule:
    """A schedule with what is usual."""
    given: dict[str, Any] = {
        "source": "code", "tz": "UTC", "catch_up": "once", "overlap": "skip", "paused": False, "known": True,
        "last_at": None, "slots": (), "args": [], "kwargs": {},
    }  # fmt: skip
    given.update(changes)
    given["removable"] = given["source"] == "made"
    return Schedule(name=name, task=task, expression=expression, words=words, next_at=next_at, **given)


def make_schedules(schedules: SceneSchedules, job_id: str, rng: random.Random, now: float) -> None:
    """A frequent one with a bad night, a nightly one, and a paused one that was made here."""
    five = now // 300 * 300
    outcomes = ("on time", "late", "failed", "skipped", "missed")
    slots = []
    for n in range(60):
        outcome = "missed" if 31 <= n <= 33 else rng.choices(outcomes, (50, 3, 2, 1, 0))[0]
        reason = {"late": "late by 4 s", "missed": "no consumer 02:00-02:15", "skipped": "the run before has not ended"}
        slots.append(Slot(five - n * 300, outcome, None if outcome == "missed" else job_id, reason.get(outcome)))
    night = now // 86400 * 86400 + 3.5 * 3600
    if night < now:
        night += 86400
    days = tuple(night + n * 86400 for n in range(5))
    past = tuple(Slot(night - n * 86400, "on time", job_id) for n in range(1, 31))
    fives = tuple(five + n * 300 for n in range(1, 6))
    for each in (
        schedule("periodic.heartbeat", "heartbeat", "*/5 * * * *", "Every 5 minutes", fives, slots=tuple(slots)),
        schedule("periodic.nightly_backup", "nightly_backup", "30 3 * * *", "At 03:30", days, slots=past),
        schedule(
            "monday-report", "send_email", "0 7 * * mon", "At 07:00 on Monday", tuple(d + 7 * 3600 for d in days),
            source="made", paused=True, tz="Europe/Zagreb",
            kwargs={"to": "ana@example.org", "subject": "Report", "text": "…"},
        ),
    ):  # fmt: skip
        schedules.kept[each.name] = each
