"""The recorder: takes what happened out of the queue's storage and writes it into the history, for ever and always.

Order of a turn: take the lease (one recorder among all processes); read the oldest events; fold and write them in one
transaction, synced; only then delete them at their source. A crash between the two brings the same batch again, and
it changes nothing. Then a small step of retention, if it is time.

While more happens than fits into a batch, it rests after each (duey.monitor.history.throttle), so that a burst is
hardly slowed and a steady stream is on record within seconds.

Whatever goes wrong (the history is locked, full, away, read-only, broken; the queue cannot be read), the events stay
where they are and the work goes on: the recorder says so once, waits a little longer each time, and says when it is
over. A broken history is moved aside and begun anew. Ending: when asked to stop, after the batch at hand.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from duey.errors import DueyError
from duey.model.event import Event
from duey.model.job import WorkerInfo
from duey.monitor.history import plain, writing
from duey.monitor.history.database import Database
from duey.monitor.history.lease import Lease
from duey.monitor.history.retention import Retention
from duey.monitor.history.slots import Slots, Timetable
from duey.monitor.history.throttle import WriteThrottle
from duey.monitor.history.values import RecorderStatus
from duey.monitor.history.workers import Workers

logger = logging.getLogger(__name__)

BATCH = 2000  # events in one transaction: it lasts some 50 ms
IDLE_S = 0.2  # until the next look when there was nothing
LEASE_S = 0.2  # until the next try when another holds the lease
RETENTION_S = 60.0
ASKING_S = 10.0  # until workers and schedules are asked again
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
STEP_S = 0.05  # how long a turn may spend on retention


class Source(Protocol):
    """Where events wait: the queue's storage. `read_events` gives the oldest, in order, again until deleted."""

    def read_events(self, limit: int) -> list[Event]: ...
    def delete_events(self, events: Sequence[Event]) -> None: ...


class Recorder:
    """For one thread. `workers` and `schedules`, where given, are asked now and then who works, and what fell due."""

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
    ) -> None:
        self._database, self._source, self._retention = database, source, retention
        self._max_value_chars, self._clock = max_value_chars, clock
        self._workers, self._schedules = workers, schedules
        self._lease = Lease(database.path.with_name(f"{database.path.name}.recorder"))
        self._on_status = on_status
        self._status = RecorderStatus(False, 0, 0)
        self._failures = 0
        self._pace = WriteThrottle()
        self._lag_s = 0.0  # how long the oldest event of the last batch had waited
        self._retention_at = self._asking_at = 0.0

    @property
    def status(self) -> RecorderStatus:
        """How it fares; may be read from any thread."""
        return self._status

    def run(self, stop: threading.Event) -> None:
        """Record until `stop` is set. Never raises."""
        try:
            while not stop.is_set():
                stop.wait(self.turn())
        finally:
            self.close()

    def close(self) -> None:
        """Let the lease and this thread's connection go."""
        self._lease.let_go()
        self._note(leading=False)
        self._database.close()

    def turn(self) -> float:
        """One turn; how many seconds to wait before the next. Never raises."""
        try:
            if not self._lease.take():
                self._note(leading=False, problem=None)
                return LEASE_S
            self._note(leading=True)
            if self._database.is_poison_suspect:
                self._inspect()
            self._pace.begin()
            busy = self.record()
            self._look_around()
        except Exception as error:
            return self._failed(error)
        self._went_well()
        return self._pace.rest_s(self._lag_s) if busy else IDLE_S

    def record(self) -> bool:
        """Record one batch; whether it was a full one, so that more may wait. Raises what goes wrong."""
        events = self._source.read_events(BATCH)
        if events:
            self._lag_s = max(0.0, self._clock() - events[0].at) if plain.is_number(events[0].at) else 0.0
            self._write(events)
            self._source.delete_events(events)
        return len(events) >= BATCH

    def _write(self, events: Sequence[Event]) -> None:
        try:
            fold = writing.record(self._database, events, self._max_value_chars, self._clock)
        except DueyError:
            raise
        except Exception:
            # No trouble of the file: one of the events cannot be written, and must not hold up all the others.
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

    # beside the recording

    def _look_around(self) -> None:
        now = time.monotonic()
        if now >= self._asking_at:
            self._asking_at = now + ASKING_S
            if self._workers is not None:
                Workers(self._database, self._clock).note(self._workers())
            if self._schedules is not None:
                Slots(self._database).note(self._schedules())
        # Some at a time: while events wait, what must go keeps pace with what comes.
        is_time = now >= self._retention_at or self._retention.is_pressed
        if is_time and not self._retention.step(give_up_at=now + STEP_S):
            self._retention_at = now + RETENTION_S

    # how it fares

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        expected = isinstance(error, (DueyError, OSError))
        problem = str(error) if expected else f"{type(error).__name__}: {error}"
        if problem != self._status.problem:
            logger.warning(
                "nothing is recorded now, and what happens waits in the queue's storage: %s",
                problem,
                exc_info=None if expected else error,
            )
        self._note(problem=problem)
        return BACK_OFF_S[min(self._failures, len(BACK_OFF_S)) - 1]

    def _inspect(self) -> None:
        """Somebody found the file to be broken, here or while reading: if it is, begin another."""
        if not self._database.is_sound():
            aside = self._database.set_aside()
            logger.error("the history %s were broken: they are kept as %s and begun anew", self._database.path, aside)
        self._database.is_poison_suspect = False

    def _went_well(self) -> None:
        if self._status.problem is not None:
            logger.warning("the history is recorded again")
        self._failures = 0
        self._note(problem=None)

    def _note(self, **changes: Any) -> None:
        now = replace(self._status, **changes)
        if now != self._status:
            self._status = now
            self._on_status(now)
