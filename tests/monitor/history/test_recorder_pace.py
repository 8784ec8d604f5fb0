"""The recorder's rest: long where processors are scarce, short where they are not, none for what is late."""

from __future__ import annotations

import time

import pytest

from duey.monitor.history.recording import recorder
from duey.monitor.history.recording.recorder import LATE_S, REST, REST_IN_A_CROWD, WriteThrottle

WORK_S = 0.02


def rests(monkeypatch: pytest.MonkeyPatch, waited: list[float | None], lag_s: float) -> float:
    """How many times its work the recorder rests, having waited for a processor as is told."""
    told = iter(waited)
    monkeypatch.setattr(recorder, "waited_s", lambda: next(told))
    used = iter([5.0, 5.0 + WORK_S])
    monkeypatch.setattr(time, "thread_time", lambda: next(used))
    one = WriteThrottle()
    one.begin()
    return one.rest_s(lag_s) / WORK_S


@pytest.mark.parametrize(
    ("waited", "times"),
    [([1.0, 1.0], REST), ([1.0, 1.001], REST), ([1.0, 1.01], REST_IN_A_CROWD), ([None, None], REST_IN_A_CROWD)],
    ids=["free", "hardly", "crowded", "not told"],
)
def test_it_rests_long_where_processors_are_scarce(
    monkeypatch: pytest.MonkeyPatch, waited: list[float | None], times: float
) -> None:
    assert rests(monkeypatch, waited, 0.0) == pytest.approx(times)


def test_it_rests_the_less_the_later_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rests(monkeypatch, [1.0, 2.0], LATE_S / 2) == pytest.approx(REST_IN_A_CROWD / 2)
    assert rests(monkeypatch, [1.0, 2.0], LATE_S) == rests(monkeypatch, [1.0, 2.0], 1000.0) == 0.0


def test_the_kernel_tells_how_long_a_thread_waited() -> None:
    waited = recorder.waited_s()
    assert waited is None or waited >= 0.0
