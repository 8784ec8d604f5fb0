"""The schedules: every periodic task, its last sixty slots, the next five, and the ledger of what did not run.

A slot that the books know is shown with its outcome. Where they know none, the jobs of the task stand for its slots.
"""

from __future__ import annotations

from typing import Any

from engine import errors
from engine.jobs import DONE, FAILED, JobRequest, TaskInfo
from monitor.records import Distribution, JobFilter, Slot
from monitor.web import charts
from monitor.web.house import House
from monitor.web.refusal import Refusal
from monitor.web.route import Route, act, look
from monitor.web.times import DAY_S, duration
from monitor.web.timetable import Schedule, Timetable
from monitor.web.view import NOTE, Done, View
from monitor.web.visit import Visit

SLOTS = 60
WRONG = ("failed", "missed", "skipped", "late")
LEDGER = 40
WORDS = {
    "on_time": "on time",
    "late": "late",
    "failed": "failed",
    "skipped": "skipped: the previous run was still going",
    "missed": "missed",
    "waiting": "not ended yet",
}


class SchedulesPage:
    """GET /schedules, POST /schedules/NAME/run, /pause, /resume."""

    def __init__(self, house: House, timetable: Timetable) -> None:
        self._house, self._timetable = house, timetable

    def routes(self) -> list[Route]:
        return [
            look("/schedules", self.show),
            act("/schedules/<name:path>/run", self.run),
            act("/schedules/<name:path>/pause", self.pause),
            act("/schedules/<name:path>/resume", self.resume),
        ]

    def show(self, visit: Visit) -> View:
        schedules = self._timetable.schedules(visit.now)
        averages = {each.qualname: each.run for each in self._house.books.tasks(7 * DAY_S)}
        known = [(each, self._slots(each.task), _average(averages.get(each.task.qualname))) for each in schedules]
        wrong = [slot for _, slots, _ in known for slot in slots if slot.outcome in WRONG]
        data = {
            "zone": str(self._house.settings.schedule.timezone),
            "ledger": sorted(wrong, key=lambda slot: -slot.at)[:LEDGER],
            "schedules": [
                {
                    "name": each.task.qualname,
                    "words": each.words,
                    "paused": each.task.paused,
                    "next": [{"at": at} for at in each.next_at],
                    "slots": slots,
                    "average_ms": average_ms,
                }
                for each, slots, average_ms in known
            ],
        }
        more = {"rows": [self._row(visit, *one) for one in known], "words": WORDS}
        return View("schedules", "Schedules", data, more, "schedules", ("list",))

    def _slots(self, task: TaskInfo) -> tuple[Slot, ...]:
        """Newest first."""
        slots = self._house.books.slots(task.qualname, SLOTS)
        if slots:
            return slots
        rows = self._house.books.job_rows(JobFilter(task=task.qualname), SLOTS).rows
        outcome = {DONE: "on_time", FAILED: "failed"}
        return tuple(
            Slot(task.qualname, row.job.enqueued_at, outcome.get(row.job.state, "waiting"), row.job.id, None, None)
            for row in rows
        )

    def _row(
        self, visit: Visit, schedule: Schedule, slots: tuple[Slot, ...], average_ms: float | None
    ) -> dict[str, Any]:
        times = visit.times
        bars = [(each.outcome, f"{times.clock(each.at)}: {_told(each)}") for each in reversed(slots)]
        wrong = sum(each.outcome in WRONG for each in slots)
        label = f"The last {len(slots)} slots: {wrong} late, failed, skipped or missed" if slots else "No slot yet"
        return {
            "schedule": schedule,
            "task": schedule.task,
            "strip": charts.strip(bars, label),
            "last": slots[0] if slots else None,
            "average": duration(average_ms),
            "next": schedule.next_at,
            "then": ", ".join(times.clock(at) for at in schedule.next_at),
        }

    # acting

    def run(self, visit: Visit, name: str) -> Done:
        task = self._periodic(name)
        try:
            job = self._house.control.defer((JobRequest(task.qualname),)).jobs[0]
        except errors.Conflict as error:
            return Done(self._house.links.to("/schedules"), f"Nothing was run: {error}", NOTE)
        self._house.trail.record(visit, "run schedule", task.qualname, detail=f"as {job.id}")
        return Done(self._house.links.job(job.id), f"{task.name} runs now, beside its timetable.")

    def pause(self, visit: Visit, name: str) -> Done:
        task = self._periodic(name)
        if task.paused:
            return Done(
                self._house.links.to("/schedules"), f"{task.name} is paused already: nothing was changed.", NOTE
            )
        self._house.control.pause_task(task.qualname)
        self._house.trail.record(visit, "pause task", task.qualname)
        return Done(self._house.links.to("/schedules"), f"{task.name} is paused.")

    def resume(self, visit: Visit, name: str) -> Done:
        task = self._periodic(name)
        if not task.paused:
            return Done(self._house.links.to("/schedules"), f"{task.name} is not paused: nothing was changed.", NOTE)
        self._house.control.resume_task(task.qualname)
        self._house.trail.record(visit, "resume task", task.qualname)
        return Done(self._house.links.to("/schedules"), f"{task.name} runs again.")

    def _periodic(self, name: str) -> TaskInfo:
        task = self._house.control.task(name)
        if not task.periodic:
            raise Refusal(404, f"{task.name} has no timetable: run it from its own page")
        return task


def _told(slot: Slot) -> str:
    said = WORDS.get(slot.outcome, slot.outcome)
    if slot.outcome == "late" and slot.late_ms is not None:
        said = f"late by {duration(slot.late_ms)}"
    return f"{said} ({slot.reason})" if slot.reason else said


def _average(run: Distribution | None) -> float | None:
    return run.sum_ms / run.count if run and run.count else None
