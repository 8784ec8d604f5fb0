"""The scheduler: brings each slot of each schedule to life once, on time, and says what was missed.

A schedule is a periodic task of the code, or one that was made at run time. Its slots are the instants of its timetable
after `last`, the last instant that was dealt with, which the storage keeps; dealing with slots moves `last` in the same
transaction that accepts their jobs, so neither consumers side by side nor clock steps nor restarts double or lose one.

What fell due while nothing ran: up to GRACE_S ago it merely runs late; older, the schedule's `catch_up` decides
(skip: none; once: the newest runs for all; all: each runs) within `window_s`, and the rest is on record as missed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from huey.consumer import Scheduler

from engine import clock, errors, scheduled
from engine.ledger import SlotRow
from engine.scheduled import Scheduled

GRACE_S = 60.0
LOOK_S = 2.0  # how soon a schedule that was made at run time is seen
ALIVE_S = 30.0  # how exactly it is known since when nothing ran
SLOTS_MAX = 1000  # dealt with in one step
logger = logging.getLogger("dewey.schedule")


class DurableScheduler(Scheduler):
    """Huey's scheduler with durable slots; one thread of the consumer's keeper unit."""

    def initialize(self) -> None:
        self._ledger = self.huey.storage.ledger
        self._alive_at = 0.0
        self._gone_since: float | None = None
        self._synced = False

    def loop(self, now: Any = None) -> None:
        """Deal with what is due, then sleep until the next slot (or the next look for new schedules)."""
        try:
            next_at = self.tick()
        except errors.DeweyError as exc:
            logger.warning("%s; schedules wait until it is back", exc)
            next_at = None
        wait_s = LOOK_S if next_at is None else min(LOOK_S, next_at - clock.now())
        if wait_s > 0:
            self.stop_flag.wait(wait_s)

    def tick(self) -> float | None:
        """Deal with every slot that is due; the instant of the next one."""
        if not self._synced:
            scheduled.sync(self.huey, clock.now())
            self._synced = True
        self._note_alive()
        soonest: list[float] = []
        for item in scheduled.all_of(self.huey):
            if not item.row.paused and item.runnable:
                next_at = self.deal_with(item)
                if next_at is not None:
                    soonest.append(next_at)
        return min(soonest, default=None)

    def _note_alive(self) -> None:
        if clock.now() - self._alive_at >= ALIVE_S or clock.now() < self._alive_at:
            before = self._ledger.seen_alive(clock.now())
            if self._alive_at == 0.0:
                self._gone_since = before  # nothing was scheduled between then and now
            self._alive_at = clock.now()

    def deal_with(self, item: Scheduled) -> float | None:
        """Bring the due slots of one schedule to life; the instant of its next one."""
        now = clock.now()
        due: list[float] = []
        at = item.next_after(item.row.last)
        while at is not None and at <= now and len(due) < SLOTS_MAX:
            due.append(at)
            at = item.next_after(at)
        if not due:
            return at
        slots, jobs = self.decide(item, due, now)
        if self._ledger.fire(item.row.name, item.row.last, due[-1], slots, jobs):
            for slot in slots:
                if slot.outcome == "missed":
                    logger.warning("schedule %s missed its slot %s: %s", slot.schedule, instant(slot.at), slot.reason)
        return at

    def decide(self, item: Scheduled, due: Sequence[float], now: float) -> tuple[list[SlotRow], list[Any]]:
        """What becomes of each due slot, and the jobs of those that run."""
        late = [at for at in due if now - at > GRACE_S]
        run = set(due) - set(late)
        within = [at for at in late if now - at <= item.window_s]
        if item.catch_up == "all":
            run |= set(within)
        elif item.catch_up == "once" and within and not run:
            run.add(within[-1])
        slots, jobs = [], []
        for at in due:
            if at in run:
                job = item.new_job(at)
                jobs.append(job)
                outcome = "overlap" if item.overlap == "skip" else "deferred"
                reason = f"late by {now - at:.0f} s" if now - at > 1 else None
                slots.append(SlotRow(item.row.name, at, outcome, job.id, reason, now))
            else:
                slots.append(SlotRow(item.row.name, at, "missed", None, self._why_missed(now), now))
        return slots, jobs

    def _why_missed(self, now: float) -> str:
        since = self._gone_since
        return f"no consumer {instant(since)} - {instant(now)}" if since else "no consumer was running"


def instant(at: float | None) -> str:
    """An instant in UTC as a log line has it."""
    return "?" if at is None else f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M:%SZ}"
