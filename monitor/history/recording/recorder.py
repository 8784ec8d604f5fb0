"""The recorder: moves events from the queue's storage into the history.

One turn takes the lease (one recorder among the processes of this history), reads the oldest events, writes them in one
synced transaction, and then deletes them from the queue. After a crash in between, the same batch is read again and
changes nothing. Then the turn does a small step of retention, if it is due.

If another history owns the events (duey.monitor.history.ownership), a turn only does that step. The recorder says once
in the log who the owner is, and asks again every few seconds.

After a full batch the recorder rests (`WriteThrottle`), so that it hardly slows down a burst of work,
and steady work is recorded within seconds.

If the history or the queue cannot be used, the events stay in the queue and the work goes on. The recorder logs the
problem once, waits longer after each failure, and logs when it records again. A broken file is moved away and a new
one created. If it is asked to stop, it finishes the current batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from duey.errors import DueyError
from duey.model.event import Event, OutboxLost, OutboxOwner
from duey.model.job import WorkerInfo
from duey.monitor.history import ownership, plain
from duey.monitor.history.database import Database
from duey.monitor.history.recording import copies, writing
from duey.monitor.history.recording.copies import Timetable
from duey.monitor.history.recording.renaming import rename_tasks
from duey.monitor.history.recording.retention import Retention
from duey.monitor.history.values import RecorderStatus

logger = logging.getLogger(__name__)

BATCH = 2000  # events in one transaction, about 50 ms
IDLE_S = 0.2  # pause if there were no events
LEASE_S = 0.2  # pause if another recorder holds the lease
ELSEWHERE_S = 2.0  # pause if another history owns the events
RETENTION_S = 60.0
ASKING_S = 10.0  # pause between two queries of workers and schedules, and after which it says that it records
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
STEP_S = 0.05  # time for retention in one turn


class Source(Protocol):
    """The queue's storage: see duey.storage.contract, Outbox."""

    def read_events(self, limit: int, term: int | None = None) -> list[Event]: ...
    def delete_events(self, events: Sequence[Event], term: int = 0) -> None: ...
    def own_outbox(self, history: str, where: str, take_over: bool = False) -> OutboxOwner: ...
    def leave_outbox(self, term: int) -> None: ...


class Recorder:
    """Records events, in one thread. `workers` and `schedules` are called from time to time, if given. `renamed`: the
    present name of a task for each former one."""

    def __init__(
        self,
        database: Database,
        source: Source,
        retention: Retention,
        max_value_chars: int,
        clock: Callable[[], float] = time.time,
        workers: Callable[[], Sequence[WorkerInfo]] | None = None,
        schedules: Callable[[], Iterable[Timetable]] | None = None,
        on_status: Callable[[RecorderStatus], None] = lambda status: None,
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._database, self._source, self._retention = database, source, retention
        self._max_value_chars, self._clock = max_value_chars, clock
        self._workers, self._schedules, self._renamed = workers, schedules, renamed
        self._renaming = False
        self._lease = database.lock("recorder")
        self._term = 0  # of this history as the owner of the events; 0 while another one is
        self._on_status = on_status
        self._status = RecorderStatus(False, 0, 0)
        self._failures = 0
        self._pace = WriteThrottle()
        self._lag_s = 0.0  # age of the oldest event of the last batch
        self._retention_at = self._asking_at = self._owning_at = 0.0

    @property
    def status(self) -> RecorderStatus:
        """The status of this recorder. Safe to read from any thread."""
        return self._status

    def run(self, stop: threading.Event, is_over: Callable[[], object] = lambda: False) -> None:
        """Record until `stop` is set, or `is_over` before a turn. Catches and logs every error."""
        try:
            while not (is_over() or stop.is_set()):
                stop.wait(self.turn())
        finally:
            self.close()

    def close(self) -> None:
        """Release the lease and close this thread's connection."""
        if self._status.leading and self._status.problem is None:
            with suppress(DueyError):
                self._source.leave_outbox(self._term)
        self._lease.release()
        self._note(leading=False)
        self._database.close()

    def turn(self) -> float:
        """Do one turn; return how many seconds to wait before the next. Never raises."""
        try:
            if not self._lease.take():
                with suppress(DueyError):
                    self._owns()  # pages and alerts of this process ask whether it does
                self._note(leading=False, problem=None)
                return LEASE_S
            self._mend()
            if not self._owns():
                self._note(leading=False, problem=None)
                self._retain()
                return ELSEWHERE_S
            self._note(leading=True)
            self._pace.begin()
            busy = self.record()
            self._look_around()
            self._retain()
        except OutboxLost:
            self._owning_at = 0.0
            return IDLE_S
        except Exception as error:
            return self._failed(error)
        self._went_well()
        return self._pace.rest_s(self._lag_s) if busy else IDLE_S

    def record(self) -> bool:
        """Record one batch; return whether it was full, so that more events may wait. Raises every error."""
        if not self._owns():
            raise OutboxLost
        events = self._source.read_events(BATCH, self._term)
        if events:
            self._lag_s = max(0.0, self._clock() - events[0].at) if plain.is_number(events[0].at) else 0.0
            self._write(events)
            self._source.delete_events(events, self._term)
        return len(events) >= BATCH

    def _owns(self) -> bool:
        """Return whether this history owns the events. Asked every few seconds, which says that it is recorded."""
        now = time.monotonic()
        if now < self._owning_at:
            return self._term > 0
        here = ownership.identity(self._database), self._database.where()
        owner = self._source.own_outbox(*here)
        if self._term and (owner.term, owner.where) == (self._term, here[1]) and owner.history != here[0]:
            # It was the owner until now: its file and the one beside it were removed, and made anew.
            owner = self._source.own_outbox(*here, take_over=True)
        before, elsewhere = self._status.elsewhere, ownership.elsewhere(self._database, owner)
        self._term = owner.term if ownership.is_here(self._database, owner) else 0
        self._owning_at = now + (ASKING_S if self._term else ELSEWHERE_S)
        self._note(elsewhere=elsewhere)
        if elsewhere and not before:
            logger.warning("nothing is recorded here: %s", elsewhere)
        elif before and not elsewhere:
            logger.warning("what happens to jobs is recorded from now on, here at %s", owner.where)
        return self._term > 0

    def _write(self, events: Sequence[Event]) -> None:
        try:
            fold = writing.record(self._database, events, self._max_value_chars, self._clock)
        except DueyError:
            raise
        except Exception:
            # One of the events cannot be written. Halve the batch, so that only this event is left out.
            if len(events) == 1:
                logger.exception("an event cannot be recorded and is left out: %.500r", events[0])
                self._note(refused=self._status.refused + 1)
                return
            middle = len(events) // 2
            self._write(events[:middle])
            self._write(events[middle:])
            return
        self._retention.note_recorded(fold.begun)
        self._note(
            recorded=self._status.recorded + fold.applied,
            refused=self._status.refused + fold.refused,
            last_at=self._clock(),
        )

    # workers, schedules, retention

    def _look_around(self) -> None:
        now = time.monotonic()
        if now >= self._asking_at:
            self._asking_at = now + ASKING_S
            if self._workers is not None:
                copies.note_workers(self._database, self._workers(), self._clock())
            if self._schedules is not None:
                copies.note_slots(self._database, self._schedules())
            self._renaming = bool(self._renamed)  # a process with older code may record a former name
        if self._renaming:
            self._renaming = not rename_tasks(self._database, self._renamed, now + STEP_S)

    def _retain(self) -> None:
        now = time.monotonic()
        # Without a pause while there are too many rows, so that deletion keeps up with recording.
        is_time = now >= self._retention_at or self._retention.is_pressed
        if is_time and not self._retention.step(give_up_at=now + STEP_S):
            self._retention_at = now + RETENTION_S

    # status

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        expected = isinstance(error, (DueyError, OSError))
        problem = str(error) if expected else f"{type(error).__name__}: {error}"
        if problem != self._status.problem:
            logger.warning(
                "nothing is recorded now; events wait in the queue's storage: %s",
                problem,
                exc_info=None if expected else error,
            )
        self._note(problem=problem)
        return BACK_OFF_S[min(self._failures, len(BACK_OFF_S)) - 1]

    def _mend(self) -> None:
        """After an error that suggests damage, check the file. If it is damaged, move it away."""
        aside = self._database.mend()
        if aside is not None:
            sentence = "the history %s was damaged: it is kept as %s, and a new one is started"
            logger.error(sentence, self._database.place, aside)

    def _went_well(self) -> None:
        if self._status.problem is not None:
            logger.warning("the history is being recorded again")
        self._failures = 0
        self._note(problem=None)

    def _note(self, **changes: Any) -> None:
        now = replace(self._status, **changes)
        if now != self._status:
            self._status = now
            self._on_status(now)


LATE_S = 3.0  # at this age of the oldest event there is no rest
REST = 3.0  # multiple of the processor time used
REST_IN_A_CROWD = 12.0
CROWD = 0.1  # waiting longer than this share of the time used means that the processors are busy


class WriteThrottle:
    """Computes rests, in one thread: call `begin`, work, then `rest_s`."""

    def begin(self) -> None:
        self._used_s, self._waited_s = time.thread_time(), waited_s()

    def rest_s(self, lag_s: float) -> float:
        """Return how many seconds to rest, if the oldest event of the batch is `lag_s` seconds old."""
        used_s, waited = time.thread_time() - self._used_s, waited_s()
        crowded = waited is None or self._waited_s is None or waited - self._waited_s > CROWD * used_s
        return used_s * (REST_IN_A_CROWD if crowded else REST) * max(0.0, 1 - lag_s / LATE_S)


def waited_s() -> float | None:
    """Return how many seconds this thread has waited for a processor, or None if the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as stats:
            return int(stats.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
