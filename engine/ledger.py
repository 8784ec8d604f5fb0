"""The ledger of schedules and slots: the contract that SQLite and Redis both keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from engine.jobs import NewJob


class ScheduleRow(NamedTuple):
    """A schedule as it is kept. `last` is the last instant that was dealt with: nothing up to it falls due again."""

    name: str
    source: str  # 'code' or 'made'
    spec: str  # JSON: what a schedule that was made at run time runs, and when; '{}' for code
    paused: bool
    last: float
    since: float


class SlotRow(NamedTuple):
    """A due time of a schedule, and what became of it."""

    schedule: str
    at: float
    outcome: str  # deferred, skipped or missed
    job_id: str | None
    reason: str | None
    noted_at: float


class Ledger(Protocol):
    """Schedules, and what became of each of their slots. Every verb is one transaction."""

    def schedules(self) -> list[ScheduleRow]:
        """Every schedule on record, by name."""

    def add(self, row: ScheduleRow, replace: bool = False) -> bool:
        """Keep a schedule; False when the name is taken, unless `replace`: then its spec and `last` are changed."""

    def remove(self, name: str) -> bool:
        """Forget a schedule and its slots; False when there is none."""

    def pause(self, name: str, paused: bool) -> bool:
        """Pause or resume; False when there is none."""

    def fire(self, name: str, last: float, new_last: float, slots: Sequence[SlotRow], jobs: Sequence[NewJob]) -> bool:
        """Note slots and accept their jobs in one transaction, if the schedule's `last` is still what the caller saw
        and it is not paused; False when it was not. A slot whose outcome is 'overlap' becomes 'deferred', or
        'skipped' when the job of the slot before it has not ended."""

    def run_now(self, slot: SlotRow, job: NewJob) -> None:
        """Note a slot that a person asked for (replacing a missed one) and accept its job."""

    def slots_of(self, name: str, limit: int) -> list[tuple[SlotRow, str | None]]:
        """The newest slots, each with its job's state: a final one, 'unfinished', or None when it is not here."""

    def seen_alive(self, now: float) -> float | None:
        """Note that a scheduler lives; when one was last noted before."""
