"""Slots of schedules: copied as the engine tells of them, and kept when it has let them go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from duey.monitor.history import History, Slot
from duey.monitor.history.recording import copies
from tests.monitor.history.conftest import START, Clock, Queue

DAY_S = 86400.0


@dataclass
class Told:
    """A slot, `at` seconds after START, as the engine tells of it."""

    n: float
    outcome: str = "on time"
    job_id: str | None = None
    reason: str | None = None

    @property
    def at(self) -> float:
        return START + self.n


@dataclass
class Timetable:
    name: str
    slots: Sequence[Told]


def tell(history: History, *timetables: Timetable) -> None:
    """A recorder asks, and is told this."""
    history.recorder(Queue(), schedules=lambda: timetables).turn()


def test_they_are_copied_newest_first(history: History) -> None:
    tell(
        history, Timetable("nightly", [Told(2, "missed", None, "no consumer"), Told(0)]), Timetable("hourly", [Told(1)])
    )
    assert [slot.at - START for slot in history.slots()] == [2, 1, 0]
    assert history.slots("nightly", limit=1) == (Slot("nightly", START + 2, "missed", None, "no consumer"),)
    assert [slot.at - START for slot in history.slots(outcomes=["on time"])] == [1, 0]


def test_they_stay_when_the_engine_has_let_them_go(history: History) -> None:
    tell(history, Timetable("nightly", [Told(0)]))
    tell(history, Timetable("nightly", [Told(1)]))
    tell(history)
    assert [slot.at - START for slot in history.slots()] == [1, 0]


def test_what_became_of_one_later_is_written_over_it(history: History) -> None:
    tell(history, Timetable("nightly", [Told(0, "waiting", reason="the run before it")]))
    tell(history, Timetable("nightly", [Told(0, "running", "nightly@0")]))
    tell(history, Timetable("nightly", [Told(0, "failed", "nightly@0")]))
    assert history.slots() == (Slot("nightly", START, "failed", "nightly@0", None),)


def test_they_go_with_the_jobs_of_their_time(history: History, clock: Clock) -> None:
    tell(history, Timetable("nightly", [Told(0)]))
    clock.now = START + 30 * DAY_S
    history.prune()
    assert len(history.slots()) == 1
    clock.now += 1
    history.prune()
    assert history.slots() == ()


def test_only_so_many_are_kept(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MAX_SLOTS", 10)
    tell(history, Timetable("often", [Told(n) for n in range(20)]))
    assert [slot.at - START for slot in history.slots()] == list(range(19, 8, -1))
