"""The clock of the engine, where that of a server decides."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from duey import clock
from tests.support import rows

NOW = 1_900_000_000.0


class Host:
    """A host whose clock is `ahead_s` of the server's. `steady` is what nobody can set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s, self.steady, self.way_s = 0.0, 500.0, 0.0
        monkeypatch.setattr(time, "time", lambda: NOW + self.steady + self.ahead_s)
        monkeypatch.setattr(clock, "_steady", lambda: self.steady)
        monkeypatch.setattr(clock, "_known", None)

    def server(self) -> float:
        """Its answer takes the same time to come as the question took."""
        self.steady += self.way_s
        answer = NOW + self.steady
        self.steady += self.way_s
        return answer

    def off_s(self) -> float:
        """How far the engine's time is from that of the server."""
        return clock.now() - NOW - self.steady


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    yield Host(monkeypatch)


@rows(
    "ahead_s, way_s, left_s",
    [(0.0, 0.0, 0.0), (0.04, 0.0, 0.04), (7200.0, 0.0, 0.0), (-90.0, 0.1, 0.0), (0.2, 0.3, 0.2), (3.0, 0.3, 0.0)],
)
def test_what_differs_for_certain_is_corrected(host: Host, ahead_s: float, way_s: float, left_s: float) -> None:
    host.ahead_s, host.way_s = ahead_s, way_s
    clock.compare(host.server)
    assert (host.off_s(), clock.host_ahead_s()) == pytest.approx((left_s, ahead_s - left_s), abs=1e-6)


def test_a_clock_that_is_set_afterwards_changes_nothing_until_it_is_compared_again(host: Host) -> None:
    host.ahead_s = 7200.0
    assert host.off_s() == 7200.0, "it was never compared"
    clock.compare(host.server)
    for ahead_s in (0.0, -3600.0, 90.0):
        host.ahead_s, host.steady = ahead_s, host.steady + 5
        assert abs(host.off_s()) < 1e-6 and clock.host_ahead_s() == pytest.approx(ahead_s)
    host.ahead_s = 0.0
    clock.compare(host.server)
    assert (host.off_s(), clock.host_ahead_s()) == (0.0, 0.0)


def test_only_a_host_that_is_off_is_named() -> None:
    assert [clock.warning(each, "a") + clock.off_in_words(each) for each in (0.0, 1.0, -1.0)] == [""] * 3
    assert clock.off_in_words(-7200.3) == "clock 7,200 s behind"
    assert "the clock of atlas is 7,200 s ahead of that of Redis" in clock.warning(7200.3, "atlas")
    assert "is 2 s behind that of Redis" in clock.warning(-2.0, "atlas")
