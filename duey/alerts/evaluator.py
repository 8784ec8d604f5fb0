"""The evaluator: reads a snapshot, asks the rules, and writes the incidents that follow. One among all web processes.

It runs every EVERY_S seconds, and at once when something failed after a calm time. What it knows stands in the
history's database, so that any process continues where another ended. While that cannot be written, it tells so without
storing it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from duey.alerts import incidents, readings, rules
from duey.alerts.incidents import Change, Incident, Marks
from duey.alerts.message import CLOSED, OPENED, Message, Place, message_about
from duey.alerts.notifications import Planner
from duey.alerts.past import COUNTERS, Counter
from duey.alerts.reader import Reader
from duey.alerts.readings import Readings
from duey.alerts.rules import service
from duey.alerts.senders import Senders
from duey.alerts.store import Store
from duey.config.alerts import Alerts
from duey.errors import DueyError
from duey.monitor.history.database import Exclusive

logger = logging.getLogger(__name__)

EVERY_S = 5.0
HOUR_S, WEEK_S = 3600.0, 7 * 86400.0
EXPLAINED = 50  # in a flood the others are told in a digest, which explains nothing
TICK_S = 1.0  # how often a lease is asked for, and new failures are looked for after a calm time


class Evaluator:
    """Evaluates the rules, in one thread."""

    def __init__(
        self, store: Store, reader: Reader, planner: Planner, senders: Senders, options: Alerts, place: Place,
        lease: Exclusive, start_drill: Callable[[], object], clock: Callable[[], float] = time.time,
        elsewhere: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        """`elsewhere` returns whether another history records the queue: the web beside that one tells."""
        self._store, self._reader, self._planner, self._senders = store, reader, planner, senders
        self._options, self._place, self._lease, self._clock = options, place, lease, clock
        self._start_drill, self._hourly_at, self._elsewhere = start_drill, 0.0, elsewhere
        self._counters: list[Counter] = []  # that are still to be asked in this hour
        self.leading = False  # read by the senders
        self._next_at = 0.0  # monotonic
        self._calm = True  # the last evaluation found nothing new in the history
        self._unwritable, self._readings = Unwritable(options, place), Readings(store.database)
        self._problem = ""

    def run(self, stop: threading.Event) -> None:
        """Evaluate until `stop` is set. Catches and logs every error."""
        try:
            while not stop.is_set():
                self.turn()
                stop.wait(TICK_S)
        finally:
            self.leading = False
            self._lease.release()
            self._store.close()

    def turn(self) -> None:
        """Evaluate, if this process has the lease, its history is recorded and it is time. Never raises."""
        try:
            led, self.leading = self.leading, not self._elsewhere() and self._lease.take()
            if self.leading and not led:
                self._senders.take_over()
            if self.leading and (time.monotonic() >= self._next_at or (self._calm and self._store.is_new())):
                self._next_at = time.monotonic() + EVERY_S
                self.evaluate()
                self._do_hourly()
            elif self.leading and self._counters:
                self._store.count_past(self._counters.pop(), self._options, self._clock())
            self._problem = ""
        except Exception as error:
            problem = str(error) if isinstance(error, (DueyError, OSError)) else f"{type(error).__name__}: {error}"
            if problem != self._problem:
                logger.warning("alerts cannot be evaluated now: %s", problem, exc_info=not isinstance(error, DueyError))
            self._problem = problem
            for message in self._unwritable.failed(problem, self._clock()):
                self._senders.send_unwritten(message)

    def _explained(self, change: Change) -> Change:
        if change.kind != "open" or change.finding is None:
            return change
        return change._replace(finding=self._reader.explained(change.finding))

    def _do_hourly(self) -> None:
        if time.monotonic() < self._hourly_at:
            return
        self._hourly_at = time.monotonic() + HOUR_S
        self._counters = list(COUNTERS)
        self._store.tidy(self._clock())
        if self._options.drill == "weekly" and self._store.drill_due(self._clock(), WEEK_S):
            self._start_drill()

    def evaluate(self) -> None:
        """Evaluate once. Raises HistoryUnavailable; nothing was changed then."""
        now = self._clock()
        marks, open_ones = self._store.marks(now), self._store.open()
        snapshot = self._reader.read(marks, {each.subject: each.changed_at for each in open_ones.values()}, now)
        found, unknown = rules.findings(snapshot, self._options)
        flips = self._store.flips([each.subject for each in found if each.subject not in open_ones], now)
        changes = incidents.changes(open_ones, found, self._options.rules, unknown, flips, self._options, now)
        changes = [*map(self._explained, changes[:EXPLAINED]), *changes[EXPLAINED:]]
        seen = Marks(snapshot.entry, marks.since)
        if self._store.apply(changes, seen, marks, now, lambda db, each, kind: self._planner.tell(db, each, kind, now)):
            self._senders.wake()
        self._calm = seen.entry == marks.entry
        self._readings.note(readings.values_of(snapshot, self._options), now)
        self._readings.write(now)
        self._readings.note({"history": self._unwritable.lasted_s(now)}, now)
        for message in self._unwritable.worked(now):
            self._senders.send_unwritten(message)


class Unwritable:
    """Tells that alerts cannot be stored, from memory: after history_s, again every repeat_s, and when it is over."""

    def __init__(self, options: Alerts, place: Place) -> None:
        self._options, self._place = options, place
        self._since: float | None = None
        self._told_at: float | None = None
        self._times = 0

    def failed(self, problem: str, now: float) -> list[Message]:
        if self._since is None:
            self._since = now
        if now - self._since < self._options.history_s or "history" not in self._options.rules:
            return []
        if self._told_at is not None and now - self._told_at < self._options.repeat_s:
            return []
        self._told_at, self._times = now, self._times + 1
        return [message_about(self._incident(problem, None), OPENED, self._id(self._times), now, self._place)]

    def lasted_s(self, now: float) -> float:
        return 0.0 if self._since is None else now - self._since

    def worked(self, now: float) -> list[Message]:
        was_told = self._told_at is not None
        made = [message_about(self._incident("", now), CLOSED, self._id(0), now, self._place)] if was_told else []
        self._since = self._told_at = None
        self._times = 0
        return made

    def _id(self, number: int) -> str:
        return f"history-{self._since or 0:.0f}-{number}"

    def _incident(self, problem: str, closed_at: float | None) -> Incident:
        finding = service.history_finding((("problem", problem),) if problem else ())
        since = self._since or 0.0
        return Incident(
            0, f"history-{since:.0f}", finding.rule, finding.subject, finding.title, finding.lines, finding.facts, "",
            since, closed_at, since, 1, since, 1, False, False, None, None, None, None,
        )  # fmt: skip
