"""Reads the facts by which the health of the service is judged: for the overview, and for `duey status`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from duey.alerts.service import AlertService
from duey.control.health import stranded_reads
from duey.control.service import Control
from duey.errors import StorageUnavailable
from duey.monitor.history import Count, History, HistoryHealth
from duey.monitor.web.display.formats import DAY_S
from duey.monitor.web.display.healthy import Situation
from duey.monitor.web.services import Recent

T = TypeVar("T")
LISTED = 5
KEPT_S = 5.0  # cached, because it takes tens of milliseconds and changes slowly


class Reader:
    """Reads situations. `records`: this process has a recorder, which knows whether another history is recorded."""

    def __init__(
        self, control: Control, history: History, alerts: AlertService, clock: Callable[[], float], records: bool = True
    ) -> None:
        self._control, self._history, self._alerts, self._records = control, history, alerts, records
        self._troubles = Recent(lambda: history.error_groups("open", None, None, LISTED), KEPT_S, clock)
        self._history_health = Recent(self._judge_history, KEPT_S, clock)

    def read(self, now: float, visited_at: float | None, shown: Callable[[float], str]) -> Situation:
        """Return the situation, with what failed since the visit, or in 24 h where there was none. `shown` makes a time
        into text."""
        with self._control.storage.read_ahead(*self.reads):
            return self._read(now, visited_at, shown)

    @property
    def reads(self) -> tuple[Callable[[], object], ...]:
        """What `read` asks the queue, to be read ahead."""
        control = self._control
        stranded = stranded_reads(control.storage)
        health = (control.unrecorded_since, control.storage.outbox_owner, self._history_health.get)
        return (control.counts, control.health, control.storage.pauses, *health, *stranded)

    def _read(self, now: float, visited_at: float | None, shown: Callable[[float], str]) -> Situation:
        control, history = self._control, self._history
        try:
            counts, health = control.counts(), control.health()
            workers, tasks, queues = control.workers(), control.tasks(), control.queues()
        except StorageUnavailable as error:
            return Situation(now, None, problems=(str(error),), history=self._history_health.get())
        since = visited_at if visited_at is not None else now - DAY_S
        groups = asked(self._troubles.get)
        return Situation(
            now,
            counts,
            workers,
            tasks,
            queues,
            () if health.usable else health.problems,
            health.warnings,
            self._history_health.get(),
            asked(lambda: history.failed_since(since)) or Count(0),
            visited_at is not None,
            since,
            asked(history.seen_workers) or (),
            asked(lambda: history.missed_slots(since)) or (),
            [each for each in groups.groups if each.last_seen >= since] if groups else (),
            asked(self._alerts.open_titles) or (),
            asked(lambda: control.stranded(workers, queues)) or (),
            "" if health.schedules_since is None else shown(health.schedules_since),
        )

    def _judge_history(self) -> HistoryHealth:
        if not self._records:
            asked(lambda: self._history.note_owner(self._control.storage.outbox_owner()))
        return self._history.health(asked(self._control.unrecorded_since))


def asked(question: Callable[[], T]) -> T | None:
    """Return an answer of history or engine, or None if it is not available, which the health sentence reports."""
    try:
        return question()
    except StorageUnavailable:
        return None
