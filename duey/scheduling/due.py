"""Decides which slots of a schedule are due and what happens to each. The decisions are carried out by the storage.

A slot that is at most GRACE_S late runs. If several slots are due at once, the newest one runs for all of them, if it
is not older than the schedule's catch-up allows (`skip`: GRACE_S, `once`: its window). With `all` each slot within the
window runs, one after the other unless they may overlap: as many as may wait are queued, and the others when there is
room. Slots that do not run are missed, with a reason. The slots of a paused schedule are skipped. However long ago
`last` is, at most the newest KEPT slots are listed, and no more are computed than fit into the window, or a day.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from huey.api import Task

from duey import errors
from duey.model.job import JobRecord
from duey.model.schedule import (
    DEFERRED,
    GAP_S,
    KEPT,
    MISSED,
    PAUSED,
    QUEUE_BEHIND,
    SKIP_IF_RUNNING,
    SKIPPED,
    WAITING_MAX,
    Gap,
    OccurrenceRow,
)
from duey.scheduling.cron_text import duration
from duey.scheduling.entry import ScheduleEntry, stamp
from duey.scheduling.isolation import reason_of
from duey.scheduling.timetable import Minutes
from duey.scheduling.timezones import span

GRACE_S = 60.0
LATE_S = 1.0  # a run that is later than this has a reason
LISTED = KEPT  # slots that are listed separately
DAY_S = 86400.0
NO_JOB = "its job could not be made: %s"
OUTCOMES = {"allow": DEFERRED, "queue": QUEUE_BEHIND, "skip": SKIP_IF_RUNNING}
Why = Callable[[float], str]
logger = logging.getLogger("duey.schedule")


class Look(NamedTuple):
    """A schedule as it was read, and its next slot."""

    item: ScheduleEntry
    next_at: float | None
    broken_at: float | None = None  # when its next slot could not be computed

    def is_due(self, now: float) -> bool:
        return self.next_at is not None and self.next_at <= now

    @property
    def waits(self) -> bool:
        """Whether a slot of it waits for the previous run."""
        return self.item.row.waiting is not None and not self.item.row.paused


class Due(NamedTuple):
    """The due slots, the oldest first. `total` includes those that are not listed. Handling them moves `last`."""

    slots: list[float]
    last: float
    total: int


def due_slots(item: ScheduleEntry, now: float) -> Due | None:
    """The due slots, or None if there are none."""
    horizon = now - max(item.window_s, DAY_S)
    if isinstance(item.timetable, Minutes):
        return due_minutes(item, item.timetable, max(item.row.last, horizon), now)
    slots: deque[float] = deque(maxlen=LISTED)
    count = within = 0
    at, most = item.next_after(item.row.last), room(item)
    while at is not None and at <= now:
        if at >= now - item.window_s:
            if within == most:
                break  # the others at a later look
            within += 1
        slots.append(at)
        count += 1
        if count == LISTED and at < horizon and item.timetable is not None:
            at = item.timetable.resume(at, horizon)
        at = item.next_after(at)
    return Due(list(slots), slots[-1], count) if slots else None


def due_minutes(item: ScheduleEntry, table: Minutes, start: float, now: float) -> Due | None:
    """The due slots of a function of a minute: the minutes since the last one for which it returns True now."""
    first, last = int(start // 60) + 1, int(now // 60)
    if last < first:
        return None
    slots: list[float] = []
    failures: list[BaseException] = []
    for minute in range(first, last + 1):
        try:
            if table.holds(minute * 60.0, item.default_tz):
                slots.append(minute * 60.0)
        except BaseException as exc:  # also SystemExit, because it is an author's code
            failures.append(exc)
    if failures:
        message = "schedule %s: %s failed for %d of %d minutes and counts as false: %s"
        count, reason = last + 1 - first, reason_of(failures[-1])
        logger.error(message, item.row.name, table.text, len(failures), count, reason, exc_info=failures[-1])
    end, most = last * 60.0, room(item)
    within = [at for at in slots if at >= now - item.window_s]
    if len(within) > most:  # the others at a later look
        end = within[int(most)] - 60.0
        slots = [at for at in slots if at <= end]
    return Due(slots[-LISTED:], end, len(slots)) if end > item.row.last else None


def room(item: ScheduleEntry) -> float:
    """How many slots within the window may be handled at once. With `all` each of them will run, so it is the number
    that may wait."""
    if item.catch_up != "all":
        return math.inf
    in_line = item.overlap != "allow" and not item.row.paused
    return min(LISTED, max(0, WAITING_MAX - item.row.waits)) if in_line else LISTED


def chosen(item: ScheduleEntry, slots: Sequence[float], now: float) -> set[float]:
    """The due slots that run."""
    if item.row.paused or not slots:
        return set()
    if item.catch_up == "all":
        return {at for at in slots if now - at <= max(GRACE_S, item.window_s)}
    allowed_s = GRACE_S if item.catch_up == "skip" else max(GRACE_S, item.window_s)
    return {slots[-1]} if now - slots[-1] <= allowed_s else set()


def decide(
    item: ScheduleEntry, due: Due, now: float, why: Why
) -> tuple[list[OccurrenceRow], list[tuple[Task, JobRecord]]]:
    """The outcome of each due slot, and the calls of those that run. `why(at)`: why a slot was missed."""
    run = chosen(item, due.slots, now)
    outcome = OUTCOMES[item.overlap]
    caught_up = item.catch_up == "all" and any(now - at > GRACE_S for at in run)
    if outcome == SKIP_IF_RUNNING and (len(run) > 1 or caught_up):
        outcome = QUEUE_BEHIND  # all of them run, one after the other
    slots, calls = [], []
    for at in due.slots:
        slot = OccurrenceRow(item.row.name, at, MISSED, None, None, now)
        if item.row.paused:
            slots.append(slot._replace(outcome=SKIPPED, reason=PAUSED))
        elif at not in run:
            slots.append(slot._replace(reason=why(at)))
        else:
            try:
                calls.append(item.call(at))
            except errors.StorageUnavailable:
                raise
            except BaseException as exc:  # also SystemExit, because an author's code may run here
                reason = NO_JOB % reason_of(exc)
                if not isinstance(exc, errors.DueyError):
                    logger.error("schedule %s, slot of %s: %s", item.row.name, stamp(at), reason, exc_info=exc)
                slots.append(slot._replace(reason=reason))
                continue
            slots.append(slot._replace(outcome=outcome, job_id=calls[-1][1].id, reason=lateness(at, now, why)))
    return slots, calls


def lateness(at: float, now: float, why: Why) -> str | None:
    """How late a slot runs, and why; None if it is not late."""
    if now - at <= LATE_S:
        return None
    reason = f": {why(at)}" if now - at > GRACE_S else ""
    return f"late by {duration(round(now - at))}{reason}"


def why_missed(item: ScheduleEntry, at: float, now: float, gaps: Sequence[Gap]) -> str:
    """Why a slot was not handled when it was due."""
    for gap in reversed(gaps):
        if gap.since <= at <= gap.until + LATE_S:
            return f"{gap.why} {span(gap.since, gap.until, item.tz)}"
    moved = item.why_moved(at)
    if moved is not None:
        return moved
    if item.catch_up == "all" and item.row.waits:
        return f"the runs before it took longer than {duration(item.window_s)}"
    if now - at <= GAP_S + GRACE_S:
        return f"a later one was due as well when the scheduler came to it, {duration(round(now - at))} late"
    return "no consumer that could run it"
