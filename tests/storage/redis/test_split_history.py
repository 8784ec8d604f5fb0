"""Two hosts that each record a part of the history are named, until one of them has stopped."""

from __future__ import annotations

import pytest

from duey.storage.redis import maintenance
from tests.storage.redis.conftest import Open


def test_two_histories_of_one_queue_are_named(open_storage: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = open_storage(), open_storage(host="there")

    def split() -> list[str]:
        return [each for each in here.warnings() if "one history" in each]

    for _ in range(2):
        here.note_recorder("atlas:/srv/monitor.db")
        assert split() == []
    there.note_recorder("boreas:/srv/monitor.db")
    (warning,) = split()
    assert "found 2, each with a part of the jobs (atlas:/srv/monitor.db, boreas:/srv/monitor.db)" in warning
    monkeypatch.setattr(maintenance, "RECORDS_S", -1.0)
    assert here.recorders() == [], "they have not said so for a while"
