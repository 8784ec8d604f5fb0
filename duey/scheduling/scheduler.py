"""The scheduler: enqueues one job for each slot of each schedule, on time, and records missed slots.

A schedule is a periodic task of the code, or was created at run time. Its slots are the instants of its timetable after
`last`, the last instant that was handled, which is stored. Handling slots moves `last` in the transaction that accepts
their jobs, so that neither several consumers nor restarts double or lose a slot.

A look: note that a scheduler lives (the time between two notes explains missed slots), read the schedules, decide what
is due (duey.scheduling.due), carry that out in one transaction, release slots that wait for the previous run. Then
sleep until the next slot, at most LOOK_S, so that schedules that were created elsewhere are noticed.

Schedules fail separately: what fails for one is logged once, tried again at later looks, and does not affect the
others. A schedule that runs an author's code is handled in a thread of its own (duey.scheduling.isolation), in the same
steps, with a transaction of its own. A look waits for it for PATIENCE_S, after all others have been handled.

If the clock is set back, `last` is set back too, so that schedules do not stop until the old time has come again.
Recorded slots are not run a second time.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from huey.api import Task
from huey.consumer import Scheduler

from duey import clock, errors
from duey.model.job import JobRecord
from duey.model.schedule import MISSED, Gap, ScheduleRow, Tick
from duey.scheduling import edits, entry
from duey.scheduling.cron_text import duration
from duey.scheduling.due import GRACE_S, LATE_S, NO_JOB, Look, decide, due_slots, why_missed
from duey.scheduling.entry import ScheduleEntry
from duey.scheduling.isolation import Answer, Aside, Complaints, reason_of
from duey.scheduling.timetable import Every, Minutes

LOOK_S = 1.5  # longest sleep, and so the delay until new schedules and waiting slots are noticed
SOON_S = 0.05  # until the next look after another scheduler was faster
PATIENCE_S = 0.2  # how long a look waits for authors' code
SLOW_S = 5.0  # after this time it is logged that such code does not answer
BROKEN_S = 30.0  # interval of attempts for a schedule that cannot be computed
ALIVE_S = 10.0  # interval of the notes that a scheduler lives
BACK_S = 1.0  # a clock that goes back by more than this was set
CLOCK = "the clock was set back, here or on another host: what is on record does not run again, every() counts from now"
AHEAD_S = 5.0  # a schedule that was dealt with for later than this was so by a wrong clock
SKEW_S = 60.0  # tolerated difference between the clocks of two hosts
HEARD = 1000  # jobs for which signals wait to be sent; of more, the oldest are dropped
GONE, SLEPT, AWAY = "no consumer", "this machine slept, or its clock was set,", "the storage was away"
FAILED = "the scheduler failed"
logger = logging.getLogger("duey.schedule")


class DurableScheduler(Scheduler):
    """Huey's scheduler with durable slots; a thread of the worker process that runs maintenance."""

    def initialize(self) -> None:
        self._schedule_store = self.huey.storage.schedule_store
        self._looks: dict[ScheduleRow, Look] = {}
        self._synced = False
        self._before: float | None = None  # the time of the last look
        self._noted_at = 0.0
        self._why = GONE  # the reason for a time without a scheduler
        self._failing = False  # whether the last look failed as a whole
        self._complaints = Complaints(logger)  # by the name of the schedule; "" for all
        self._aside = Aside()
        self._unannounced: deque[tuple[Task, JobRecord]] = deque(maxlen=HEARD)
        self.patience_s = PATIENCE_S

    def loop(self, now: Any = None) -> None:
        """Handle what is due, then sleep until the next slot or the next look for new schedules."""
        next_at = None
        try:
            next_at = self.tick()
        except BaseException as exc:  # whatever it is, the scheduler continues
            away = isinstance(exc, errors.StorageUnavailable)
            self._failing, self._why = True, AWAY if away else FAILED
            self._complaints.log("", "schedules wait until that is fixed", exc)
        wait_s = LOOK_S if next_at is None else min(LOOK_S, next_at - clock.now())
        if wait_s > 0:
            self.stop_flag.wait(wait_s)

    def tick(self) -> float | None:
        """Handle every slot that is due. Returns when to look again, None if no slot is known."""
        now = clock.now()
        rows = self._watch_clock(now)
        if not self._synced or self._unrecorded(rows):
            changed, self._synced = edits.sync(self.huey, rows, now, self._complaints.log, self._aside, self.patience_s)
            if changed:
                rows = self._schedule_store.schedules()
        self._looks = {row: self._look(row, now) for row in rows}
        looks = [look for look in self._looks.values() if look.item.runnable]
        plain = [look for look in looks if not look.item.runs_code]
        asked = [self._begin_aside(look, now) for look in looks if look.item.runs_code]
        again_s = []
        for look in plain:
            if look.waits:
                self._alone(look.item, partial(self._release, look.item))
        due = [look.item for look in plain if look.is_due(now)]
        if due:
            again_s.append(self.deal_with(due, now))
        again_s += [answer.value() for answer in asked if answer is not None and answer.wait(self.patience_s)]
        self._send_signals()
        if self._failing or self._noted_at == 0:
            self._note_alive(now)
        self._failing = False
        self._complaints.forget("")
        times = [look.next_at for look in looks if look.next_at is not None and not look.is_due(now)]
        return min([*times, *(now + each for each in again_s)], default=None)

    def _look(self, row: ScheduleRow, now: float) -> Look:
        before = self._looks.get(row)
        if before is not None and (before.broken_at is None or abs(now - before.broken_at) < BROKEN_S):
            return before
        item = entry.of_row(self.huey, row)
        if not item.runnable:
            self._complaints.log(row.name, f"schedule {row.name} is not run by this consumer: {item.problem}")
        if isinstance(item.timetable, Minutes):  # it is called when the minute has come
            return Look(item, (row.last // 60 + 1) * 60)
        try:
            if item.timetable is not None and not item.timetable.is_ours:
                return Look(item, row.last)  # it is called in a thread of its own, at each look
            return Look(item, item.next_after(row.last))
        except Exception as exc:
            self._complaints.log(row.name, f"schedule {row.name}: its next time cannot be computed", exc)
            return Look(item, None, now)

    def _unrecorded(self, rows: Sequence[ScheduleRow]) -> bool:
        """Whether a periodic task is not stored, because the storage was emptied."""
        known = {row.name for row in rows}
        return any(self.huey._registry.task_to_string(cls) not in known for cls in self.huey._registry._periodic_tasks)

    # schedules fail separately

    def _alone(self, item: ScheduleEntry, step: Callable[[], Any]) -> Any:
        """The result of a step. If it fails, that is logged once and LOOK_S is returned. Raises StorageUnavailable."""
        try:
            return step()
        except errors.StorageUnavailable:
            raise
        except BaseException as exc:  # also SystemExit from an author's code
            self._complaints.log(item.row.name, f"schedule {item.row.name}: its slots could not be processed", exc)
            return LOOK_S

    def _begin_aside(self, look: Look, now: float) -> Answer | None:
        """Begin to handle a schedule that runs an author's code, unless that is running already."""
        item, name = look.item, look.item.row.name
        going_s = self._aside.going_s(name)
        if going_s is not None:
            if going_s > SLOW_S:
                self._complaints.log(name, f"schedule {name} waits for its own code, which does not answer")
            return None
        if not (look.waits or look.is_due(now)):
            return None

        def attend() -> float:
            if look.waits:
                self._release(item)
            return self.deal_with([item], now) if look.is_due(now) else LOOK_S

        def answered() -> float:
            try:
                return float(self._alone(item, attend))
            except errors.StorageUnavailable as exc:
                self._complaints.log(name, f"schedule {name}", exc)  # the look itself meets it, too
                return LOOK_S

        try:
            return self._aside.ask(name, answered)
        except RuntimeError as exc:
            self._complaints.log(name, f"schedule {name}: no thread can be started for it", exc)
            return None

    def _send_signals(self) -> None:
        """Send the signals of accepted jobs, in a thread of their own."""
        if self._unannounced:
            self._aside.ask("", self._announce).wait(self.patience_s)

    def _announce(self) -> None:
        while self._unannounced:
            call = self._unannounced.popleft()
            try:
                self.huey._announce([call[0]])
            except BaseException as exc:
                logger.error("a receiver of signals failed for job %s: %s", call[1].id, reason_of(exc), exc_info=exc)

    # the clock

    def _watch_clock(self, now: float) -> list[ScheduleRow]:
        """Note that a scheduler lives, and handle a clock that was set back. Returns the schedules."""
        first, back = self._before is None, self._before is not None and now < self._before - BACK_S
        # After a failed look there is no note until one succeeds, because a note says that schedules are run.
        if first or (not self._failing and (now - self._noted_at >= ALIVE_S or now < self._noted_at)):
            noted = self._note_alive(now)
            back = back or (first and noted is not None and noted > now + SKEW_S)
        self._before = now
        rows: list[ScheduleRow] = self._schedule_store.schedules()
        read_at = clock.now()  # reading may take seconds over a bad network, while others fire
        # What a host with a wrong clock left behind must stop no schedule.
        ahead = [row for row in rows if row.last > read_at + (0.0 if back else AHEAD_S)]
        if not ahead:
            return rows
        logger.warning(CLOCK)
        self._fire([Tick(row, self._anew(row, read_at), (), ()) for row in ahead], [])
        return list(self._schedule_store.schedules())

    def _note_alive(self, now: float) -> float | None:
        noted: float | None = self._schedule_store.note_alive(now, self._why)
        self._noted_at, self._why = now, SLEPT
        return noted

    def _anew(self, row: ScheduleRow, now: float) -> float:
        """The instant from which a schedule counts after the clock was set back."""
        whole = float(math.floor(now))
        # every() counts from a fraction of a second, so that its slots differ from those that are recorded already.
        off = isinstance(entry.of_row(self.huey, row).timetable, Every)
        return whole + random.randint(1, 999) / 1000 if off else whole

    # handling slots

    def deal_with(self, items: Sequence[ScheduleEntry], now: float) -> float:
        """Handle the due slots of these schedules. Returns in how many seconds to look at them again."""
        gaps: list[Gap] | None = None

        def why(item: ScheduleEntry, took_s: float, at: float) -> str:
            nonlocal gaps
            if took_s > LATE_S and now - at <= GRACE_S:
                return f"its code took {duration(round(took_s))}"
            if gaps is None:
                gaps = self._schedule_store.gaps() + ([Gap(self._noted_at, now, self._why)] if self._failing else [])
            return why_missed(item, at, now, gaps)

        ticks: list[Tick] = []
        calls: list[tuple[Task, JobRecord]] = []
        counts: dict[str, int] = {}

        def plan(item: ScheduleEntry) -> None:
            due = due_slots(item, now)
            if due is not None:
                decided_at = max(now, clock.now())  # an author's code may have taken some time
                slots, made = decide(item, due, decided_at, partial(why, item, decided_at - now))
                ticks.append(Tick(item.row, due.last, slots, [job for _, job in made]))
                counts[item.row.name] = due.total
                calls.extend(made)

        for item in items:
            self._alone(item, partial(plan, item))
        failed: list[str] = []
        done = self._fire(ticks, failed)
        accepted = {job_id for ids in done.values() for job_id in ids}
        self._unannounced.extend(call for call in calls if call[1].id in accepted)
        for tick in ticks:
            if tick.row.name in done:
                self._complaints.forget(tick.row.name)
                self._log_missed(tick, counts[tick.row.name])
        if done:
            return 0.0
        return SOON_S if len(ticks) > len(failed) else LOOK_S

    def _fire(self, ticks: Sequence[Tick], failed: list[str]) -> Mapping[str, Collection[str]]:
        """Write all in one transaction. If that fails, write each separately; names that fail are added to `failed`."""
        try:
            return self._schedule_store.fire(ticks)
        except errors.StorageUnavailable:
            raise
        except Exception as exc:
            if len(ticks) == 1:
                name = ticks[0].row.name
                self._complaints.log(name, f"schedule {name}: its slots could not be written", exc)
                failed.append(name)
                return {}
        done: dict[str, Collection[str]] = {}
        for tick in ticks:
            done.update(self._fire([tick], failed))
        return done

    def _log_missed(self, tick: Tick, count: int) -> None:
        missed = [slot for slot in tick.slots if slot.outcome == MISSED]
        if missed:
            many, span = count - len(tick.slots) + len(missed), (entry.stamp(missed[0].at), entry.stamp(missed[-1].at))
            text = "schedule %s missed %d slots from %s to %s: %s"
            logger.warning(text, tick.row.name, many, *span, missed[-1].reason)

    def _release(self, item: ScheduleEntry) -> None:
        """Enqueue the job of the first waiting slot if the previous run has ended. Without a job the slot is missed."""
        at = item.row.waiting
        assert at is not None
        try:
            call = item.call(at)
        except BaseException as exc:  # also SystemExit from an author's code
            self._schedule_store.release(item.row.name, at, None, NO_JOB % reason_of(exc))
            return
        if self._schedule_store.release(item.row.name, at, call[1]):
            self._unannounced.append(call)
