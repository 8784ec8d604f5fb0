"""Schedulers in the test's hand: a clock that it sets, a queue in memory, schedulers that look when they are told to.

`World` is one storage with any number of consumers' schedulers on it, each with a huey of its own, as other processes
have one. No worker runs unless the test lets the jobs end.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import duey
from duey import clock
from duey.config import load
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.model import schedule
from duey.model.job import DONE
from duey.model.schedule import OccurrenceRow
from duey.scheduling.scheduler import DurableScheduler
from duey.scheduling.timetable import Timetable
from duey.storage.sqlite import schedules as sqlite_schedules
from tests.contracts.rig import Hand

START = datetime(2026, 6, 1, tzinfo=timezone.utc).timestamp()
Schedules = dict[str, Timetable | Callable[[datetime], bool]]


def moment(text: str, zone: str = "UTC", fold: int = 0) -> float:
    """`2026-03-29 02:30` in a zone as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


class World:
    """`schedules` name the periodic tasks of the code and their timetables; `settings` are as `schedule_timezone=`."""

    def __init__(
        self, folder: Path, schedules: Schedules, at: float = START, more: Callable[[DurableHuey], None] | None = None,
        **settings: object,
    ) -> None:  # fmt: skip
        self.folder, self.schedules, self.at, self.more = folder, dict(schedules), at, more
        self.settings = settings
        (folder / "config.ini").write_text("[storage]\npath = queue.db\ndurability = normal\n")
        self.hueys: list[DurableHuey] = []
        clock.set_source(lambda: self.at)
        self.huey = self.make_huey()
        self.storage = self.huey.storage
        self.control = Control(self.huey)
        self._hand: Hand | None = None

    def close(self) -> None:
        clock.set_source(None)
        if self._hand is not None:
            self._hand.go()
        for huey in self.hueys:
            huey.storage.close()

    def make_huey(self, schedules: Schedules | None = None) -> DurableHuey:
        """As another process has one, with these tasks known."""
        environ = {f"DUEY_{key.upper()}": str(value) for key, value in self.settings.items()}
        huey = duey.build(load(self.folder / "config.ini", environ))
        for name, table in (self.schedules if schedules is None else schedules).items():
            huey.periodic_task(table, name=name)(body())

        @huey.task(name="work")
        def work(n: int = 0) -> int:
            return n

        if self.more is not None:
            self.more(huey)
        self.hueys.append(huey)
        return huey

    def scheduler(self, schedules: Schedules | None = None, huey: DurableHuey | None = None) -> DurableScheduler:
        """The scheduler of a consumer that has just started."""
        made = DurableScheduler(huey or self.make_huey(schedules), threading.Event(), 1, True)
        made.initialize()
        made.patience_s = 30.0  # the clock stands still meanwhile
        return made

    # time

    def go(self, seconds: float) -> None:
        """The clock moves; nobody looks."""
        self.at += seconds

    def run(self, seconds: float, *schedulers: DurableScheduler, work: bool = True, step_s: float = 3600) -> None:
        """Let time pass as the schedulers see it: each looks at its next slot, and at the latest after `step_s`, which
        is no gap on record; jobs end at once where `work` is set."""
        end = self.at + seconds
        next_at = min(self.settle(each, step_s) for each in schedulers)
        with mock.patch.object(schedule, "GAP_S", step_s), mock.patch.object(sqlite_schedules, "GAP_S", step_s):
            while True:
                if work:
                    self.work()
                if next_at > end:
                    break
                self.at = next_at
                next_at = min(self.settle(each, step_s) for each in schedulers)
            self.at = end
            for each in schedulers:
                each._note_alive(end)

    def settle(self, scheduler: DurableScheduler, step_s: float = 3600) -> float:
        """Let one look until nothing is due; when it looks again."""
        while True:
            next_at = scheduler.tick()
            if next_at is None or next_at > self.at:
                return min(self.at + step_s, next_at or self.at + step_s)

    # jobs

    @property
    def hand(self) -> Hand:
        """A worker."""
        if self._hand is None:
            self._hand = Hand(self.storage)
        return self._hand

    def work(self, outcome: str = DONE) -> list[str]:
        """Run what is ready to this end; the ids."""
        done = []
        while claims := self.hand.claim(64):
            for claim in claims:
                self.hand.settle(claim, outcome)
                done.append(claim.job.id)
        return done

    def accepted(self) -> list[tuple[str, str, float]]:
        """(job, schedule, slot) of each job of a schedule, by the events that tell of jobs accepted."""
        enqueued = [event for event in self.huey.lifecycle.read_events(1_000_000) if event.kind == "enqueued"]
        return [(e.job_id, e.detail["context"]["schedule"], e.detail["context"]["slot"]) for e in enqueued]

    def jobs(self) -> Counter[tuple[str, float]]:
        """How many jobs each (schedule, slot) has had."""
        return Counter((schedule, slot) for _, schedule, slot in self.accepted())

    # what is on record

    def name(self, task: str) -> str:
        """The name of a schedule of the code."""
        return f"{__name__}.{task}" if task in self.schedules else task

    def full(self, task: str) -> str:
        """The full name of a task."""
        return self.control.known.qualname(task)

    def slots(self, task: str) -> list[OccurrenceRow]:
        """The slots of a schedule, oldest first."""
        return [slot for slot, _ in reversed(self.storage.schedule_store.slots_of(self.name(task), 10_000))]

    def outcomes(self, task: str) -> list[tuple[float, str]]:
        """(seconds since START, outcome) of each slot, oldest first."""
        return [(slot.at - START, slot.outcome) for slot in self.slots(task)]

    def ran(self, task: str) -> list[float]:
        """Seconds since START of the slots that ran."""
        return [at for at, outcome in self.outcomes(task) if outcome == "deferred"]


def body() -> Any:
    """A periodic task's function."""

    def nothing() -> None:
        """Does nothing."""

    nothing.__module__ = __name__
    return nothing


Make = Callable[..., World]
