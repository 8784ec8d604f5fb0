"""Slots of schedules with their outcomes, kept after the engine has deleted them.

The engine keeps the newest slots of each schedule. The recorder copies these from time to time, and writes a slot
again if its outcome changes. A slot that ran is also in the history as a job.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from duey.monitor.history import plain
from duey.monitor.history.database import Database
from duey.monitor.history.schema import SLOTS
from duey.monitor.history.values import Slot

S = SLOTS.c
MAX_SHOWN = 1000
KEPT = 100_000  # of all schedules together
COPIED = """INSERT INTO slots (schedule, at, outcome, job_id, reason) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (schedule, at) DO UPDATE SET outcome = excluded.outcome, job_id = excluded.job_id,
    reason = excluded.reason WHERE slots.outcome <> excluded.outcome OR slots.job_id IS NOT excluded.job_id"""
OVER = "DELETE FROM slots WHERE at < (SELECT at FROM slots ORDER BY at DESC LIMIT 1 OFFSET ?)"


class Told(Protocol):
    """A slot of the engine (duey.control.schedules.Slot)."""

    @property
    def at(self) -> float: ...
    @property
    def outcome(self) -> str: ...
    @property
    def job_id(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...


class Timetable(Protocol):
    """A schedule with its newest slots (duey.control.schedules.Schedule)."""

    @property
    def name(self) -> str: ...
    @property
    def slots(self) -> Sequence[Told]: ...


class Slots:
    """Stores and reads slots. Every method may raise HistoryUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, schedules: Iterable[Timetable]) -> None:
        """Store the current slots of the engine."""
        rows = [
            (plain.text(each.name, 500), slot.at, slot.outcome, slot.job_id, plain.text_or_none(slot.reason))
            for each in schedules
            for slot in each.slots
        ]
        if rows:
            with self._database.writing() as db:
                db.cursor().executemany(COPIED, rows)
                db.execute_sql(OVER, (KEPT,))

    def newest(self, schedule: str | None, outcomes: Sequence[str] | None, limit: int) -> tuple[Slot, ...]:
        query = SLOTS.select(S.schedule, S.at, S.outcome, S.job_id, S.reason)
        if schedule is not None:
            query = query.where(S.schedule == schedule)
        if outcomes is not None:
            query = query.where(S.outcome.in_(list(outcomes)))
        query = query.order_by(S.at.desc(), S.schedule).limit(max(1, min(limit, MAX_SHOWN)))
        with self._database.reading() as db:
            return tuple(Slot(*row) for row in query.tuples().execute(db))
