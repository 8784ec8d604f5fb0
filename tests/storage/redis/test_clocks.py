"""A host whose clock is wrong: the one of Redis decides, and the host is named."""

from __future__ import annotations

import time

import pytest

from duey import clock
from duey.storage.redis.connection import client
from tests.contracts.rig import Hand, job
from tests.storage.redis.conftest import Open

HOURS = 7200.0


def test_a_host_two_hours_ahead_goes_by_the_clock_of_redis_and_is_named(
    open_storage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    monkeypatch.setattr(clock, "_known", None)
    monkeypatch.setattr(time, "time", lambda: right() + HOURS)
    storage = open_storage()
    (warning,) = [each for each in storage.prepare() if "the clock of this machine is 7,200 s ahead" in each]
    assert "set it" in warning
    assert abs(clock.now() - right()) < 5
    hand = Hand(storage)
    storage.enqueue_jobs([job("later", eta=right() + 3600), job("fresh", expires_at=right() + 60)])
    assert [claim.job.id for claim in hand.claim(5)] == ["fresh"], "a job that is due in an hour waits"
    (info,) = storage.worker_infos()
    assert info.clock_ahead_s == pytest.approx(HOURS, abs=5)
    # The clock is set right while the process lives: from the next comparison on nothing is corrected.
    monkeypatch.setattr(time, "time", right)
    monkeypatch.setattr(client, "COMPARE_S", 0.0)
    storage.server._compare_at = 0.0
    storage.worker_infos()
    assert clock.host_ahead_s() == 0.0
    storage.watch.beat([hand.n], 60.0, storage.folder)
    (info,) = storage.worker_infos()
    assert info.clock_ahead_s == 0.0
