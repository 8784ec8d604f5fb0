"""The scheduler: defers each periodic task once for each minute that its timetable names.

A slot's job has an id made of the task and the minute, so that two consumers, or a restart within the minute, defer
the same job and the storage keeps one. It sleeps from minute to minute; scheduled jobs (eta) are none of its business,
the workers bring them in when they fall due.
"""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

from huey.consumer import Scheduler

from engine import clock, errors


class DurableScheduler(Scheduler):
    """Huey's scheduler with durable slots."""

    zone: Any = ZoneInfo("UTC")

    def initialize(self) -> None:
        self._next = next_minute(clock.now())

    def loop(self, now: Any = None) -> None:
        wait_s = self._next - clock.now()
        if wait_s > 0:
            self.stop_flag.wait(min(wait_s, 60.0))
            return
        slot, self._next = self._next, next_minute(max(self._next, clock.now()))
        local = datetime.datetime.fromtimestamp(slot, self.zone).replace(tzinfo=None)
        for task in self.huey.read_periodic(local):
            name = f"{type(task).__module__}.{type(task).__name__}"
            task = type(task)(id=f"{name}@{datetime.datetime.utcfromtimestamp(slot):%Y-%m-%dT%H:%MZ}")
            try:
                self.huey.defer([task])
            except errors.Conflict:
                pass  # another consumer deferred this slot, and it has ended already
            except errors.DeweyError as exc:
                self._logger.error("%s was not deferred for its slot: %s", name, exc)


def next_minute(now: float) -> float:
    """The beginning of the next minute, epoch seconds."""
    return (now // 60 + 1) * 60
