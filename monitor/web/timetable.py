"""The timetable: which periodic tasks there are and when each is due, as the registered task itself decides.

A task decides for one minute at a time, so that the next slots are searched minute by minute, and remembered until
they have passed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from engine.control import Control
from engine.jobs import TaskInfo

AHEAD = 5
SEARCH_MINUTES = 367 * 1440
SEARCH_AT_ONCE = 32 * 1440  # what costs a few hundredths of a second
MINUTE_S = 60


@dataclass(frozen=True)
class Schedule:
    """A periodic task. `next_at` are its next due times (up to five); `words` tells their rhythm."""

    task: TaskInfo
    next_at: tuple[float, ...]
    words: str


class Timetable:
    """Asks the tasks that `control` knows."""

    def __init__(self, control: Control, zone: tzinfo) -> None:
        self._control, self._zone = control, zone
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, tuple[float, ...]]] = {}  # name -> searched up to, slots

    def schedules(self, now: float) -> list[Schedule]:
        """Every periodic task, the one that is due first before the others."""
        known = []
        for task in self._control.tasks():
            if task.periodic:
                slots = self.next_slots(task.qualname, now)
                known.append(Schedule(task, slots, words(slots, self._zone)))
        return sorted(known, key=lambda each: (each.next_at[:1] or (float("inf"),), each.task.name))

    def next_slots(self, qualname: str, now: float) -> tuple[float, ...]:
        """The next due times, at most five, within a year."""
        with self._lock:
            searched_to, slots = self._found.get(qualname, (now, ()))
            slots = tuple(slot for slot in slots if slot > now)
            if len(slots) < AHEAD and (searched_to <= now + SEARCH_AT_ONCE * MINUTE_S or not slots):
                start = max(searched_to, now)
                least = 1 if not slots else 0
                more, searched_to = self._search(qualname, start, AHEAD - len(slots), least)
                slots += more
            self._found[qualname] = (searched_to, slots)
            return slots

    def _search(self, qualname: str, start: float, wanted: int, least: int) -> tuple[tuple[float, ...], float]:
        is_due: Callable[[datetime], Any] = self._control.known.find(qualname)().validate_datetime
        found: list[float] = []
        at = (start // MINUTE_S + 1) * MINUTE_S
        for n in range(SEARCH_MINUTES):
            if len(found) == wanted or (n >= SEARCH_AT_ONCE and len(found) >= least):
                break
            # As the scheduler asks: local time without a zone.
            if is_due(datetime.fromtimestamp(at, self._zone).replace(tzinfo=None)):
                found.append(at)
            at += MINUTE_S
        return tuple(found), at - MINUTE_S


def words(slots: Sequence[float], zone: tzinfo) -> str:
    """How the next slots follow each other: "every 5 min", "daily at 03:30"."""
    if not slots:
        return "not within a year"
    local = [datetime.fromtimestamp(slot, zone) for slot in slots]
    gaps = {(b.replace(tzinfo=None) - a.replace(tzinfo=None)) for a, b in pairwise(local)}
    if len(gaps) == 1:
        gap = gaps.pop()
        if gap == timedelta(days=1):
            return f"daily at {local[0]:%H:%M}"
        if gap == timedelta(days=7):
            return f"on {local[0]:%A}s at {local[0]:%H:%M}"
        minutes = int(gap.total_seconds() // 60)
        if minutes == 1:
            return "every minute"
        if minutes == 60:
            return f"hourly at minute {local[0]:%M}"
        return f"every {minutes // 60} h" if minutes % 60 == 0 else f"every {minutes} min"
    return f"next on {local[0]:%d %b} at {local[0]:%H:%M}"
