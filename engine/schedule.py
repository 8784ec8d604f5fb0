"""The scheduler: brings each slot of each schedule to life once, on time, and says what was missed.

A schedule is a periodic task of the code, or one that was made at run time. Its slots are the instants of its timetable
after `last`, the last instant that was dealt with, which the ledger keeps; dealing with slots moves `last` in the same
transaction that accepts their jobs, so neither consumers side by side nor restarts double or lose one.

A look: note that a scheduler lives (what lies between two notes is why slots were missed), read the schedules, decide
about what is due (engine.due), carry that out in one transaction, release what waits for the run before it. Then sleep
until the next slot, at most LOOK_S, so that schedules made elsewhere are seen.

When the clock goes back, `last` goes back with it, so that nothing stands still until the old time has come again; what
is on record is not run a second time.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from huey.api import Task
from huey.consumer import Scheduler

from engine import clock, errors, scheduled
from engine.due import decide, due_slots, why_missed
from engine.jobs import NewJob
from engine.ledger import MISSED, Firing, Gap, ScheduleRow
from engine.scheduled import Scheduled
from engine.timetable import Every, Minutes

LOOK_S = 1.5  # how soon a schedule that was made at run time is seen, and a slot that waits
ALIVE_S = 10.0  # how exactly it is known since when nothing ran
BACK_S = 1.0  # a clock that goes back by more was set
SKEW_S = 60.0  # by so much the clocks of two hosts may differ
GONE, SLEPT, AWAY = "no consumer", "this machine slept, or its clock was set,", "the storage was away"
logger = logging.getLogger("dewey.schedule")


class Look(NamedTuple):
    """A schedule as it was last read, and its next slot."""

    item: Scheduled
    next_at: float | None


class DurableScheduler(Scheduler):
    """Huey's scheduler with durable slots; one thread of the consumer's keeper unit."""

    def initialize(self) -> None:
        self._ledger = self.huey.storage.ledger
        self._looks: dict[ScheduleRow, Look] = {}
        self._synced = False
        self._before: float | None = None  # the time of the last look
        self._noted_at = 0.0
        self._why = GONE  # said of the time since a scheduler was last noted
        self._complaint = ""

    def loop(self, now: Any = None) -> None:
        """Deal with what is due, then sleep until the next slot (or the next look for new schedules)."""
        next_at = None
        try:
            next_at = self.tick()
            self._complaint = ""
        except errors.DeweyError as exc:
            if isinstance(exc, errors.StorageUnavailable):
                self._why = AWAY
            if str(exc) != self._complaint:
                logger.warning("%s; schedules wait until that is mended", exc)
            self._complaint = str(exc)
        except Exception:
            logger.exception("the scheduler met an error and goes on")
        wait_s = LOOK_S if next_at is None else min(LOOK_S, next_at - clock.now())
        if wait_s > 0:
            self.stop_flag.wait(wait_s)

    def tick(self) -> float | None:
        """Deal with every slot that is due; the instant of the next one."""
        now = clock.now()
        rows = self._watch_clock(now)
        if not self._synced or self._unrecorded(rows):
            if scheduled.sync(self.huey, rows, now):
                rows = self._ledger.schedules()
            self._synced = True
        self._looks = {row: self._looks.get(row) or self._look(row) for row in rows}
        looks = [look for look in self._looks.values() if look.item.runnable]
        for look in looks:
            if look.item.row.waiting is not None and not look.item.row.paused:
                self._release(look.item)
        due = [look.item for look in looks if look.next_at is not None and look.next_at <= now]
        if due:
            return now if self.deal_with(due, now) else now + 0.05  # others were faster: look again
        return min((look.next_at for look in looks if look.next_at is not None), default=None)

    def _look(self, row: ScheduleRow) -> Look:
        item = scheduled.of_row(self.huey, row)
        if item.problem:
            logger.warning("%s: it is not run by this consumer", item.problem)
        if isinstance(item.timetable, Minutes):
            return Look(item, (row.last // 60 + 1) * 60)
        return Look(item, item.next_after(row.last))

    def _unrecorded(self, rows: Sequence[ScheduleRow]) -> bool:
        """Whether a periodic task is not on record: the storage may have been emptied."""
        known = {row.name for row in rows}
        return any(self.huey._registry.task_to_string(cls) not in known for cls in self.huey._registry._periodic_tasks)

    # the clock

    def _watch_clock(self, now: float) -> list[ScheduleRow]:
        """Note that a scheduler lives, and heed a clock that was set back; the schedules."""
        back = self._before is not None and now < self._before - BACK_S
        if self._before is None or now - self._noted_at >= ALIVE_S or now < self._noted_at:
            noted = self._ledger.note_alive(now, self._why)
            back = back or (self._before is None and noted is not None and noted > now + SKEW_S)
            self._noted_at, self._why = now, SLEPT
        self._before = now
        rows: list[ScheduleRow] = self._ledger.schedules()
        ahead = [row for row in rows if back and row.last > now]
        if not ahead:
            return rows
        logger.warning("the clock was set back: what is on record is not run again, and every() counts from now")
        self._ledger.fire([Firing(row, self._anew(row, now), (), ()) for row in ahead])
        return list(self._ledger.schedules())

    def _anew(self, row: ScheduleRow, now: float) -> float:
        """From when a schedule counts after the clock was set back."""
        whole = float(math.floor(now))
        # every() counts from a fraction of a second, lest it come upon its own slots, which are on record already.
        off = isinstance(scheduled.of_row(self.huey, row).timetable, Every)
        return whole + random.randint(1, 999) / 1000 if off else whole

    # dealing with slots

    def deal_with(self, items: Sequence[Scheduled], now: float) -> bool:
        """Bring the due slots of these schedules to life; whether any was dealt with here."""
        gaps: list[Gap] = []
        read = False

        def why(item: Scheduled, at: float) -> str:
            nonlocal gaps, read
            if not read:
                gaps, read = self._ledger.gaps(), True
            return why_missed(at, now, gaps, item.tz)

        firings: list[Firing] = []
        calls: list[tuple[Task, NewJob]] = []
        counts: dict[str, int] = {}
        for item in items:
            due = due_slots(item, now)
            if due is None:
                continue
            slots, made = decide(item, due, now, partial(why, item))
            firings.append(Firing(item.row, due.last, slots, [job for _, job in made]))
            counts[item.row.name] = due.total
            calls += made
        done = self._fire(firings)
        accepted = {job_id for ids in done.values() for job_id in ids}
        self.huey._announce([call for call in calls if call[1].id in accepted])
        for firing in firings:
            if firing.row.name in done:
                self._tell(firing, counts[firing.row.name])
        return bool(done)

    def _fire(self, firings: Sequence[Firing]) -> Mapping[str, Collection[str]]:
        """All in one transaction; each alone where one of them cannot be written."""
        try:
            return self._ledger.fire(firings)
        except errors.StorageUnavailable:
            raise
        except Exception:
            if len(firings) == 1:
                logger.exception("schedule %s: its slots could not be dealt with", firings[0].row.name)
                return {}
        done: dict[str, Collection[str]] = {}
        for firing in firings:
            done.update(self._fire([firing]))
        return done

    def _tell(self, firing: Firing, count: int) -> None:
        missed = [slot for slot in firing.slots if slot.outcome == MISSED]
        if missed:
            logger.warning(
                "schedule %s missed %d slots from %s to %s: %s",
                firing.row.name,
                count - len(firing.slots) + len(missed),
                scheduled.stamp(missed[0].at),
                scheduled.stamp(missed[-1].at),
                missed[-1].reason,
            )

    def _release(self, item: Scheduled) -> None:
        """Let the first slot that waits run, if the run before it has ended."""
        at = item.row.waiting
        assert at is not None
        call = item.call(at)
        if self._ledger.release(item.row.name, at, call[1]):
            self.huey._announce([call])
