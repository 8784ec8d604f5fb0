"""A version that knows no owner of the history records beside one that does: both are named, until one has stopped."""

from __future__ import annotations

import pytest

from duey.storage.redis import maintenance
from tests.storage.redis.conftest import Open


def test_an_older_version_that_records_as_well_is_named(open_storage: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = open_storage(), open_storage(host="there")

    def split() -> list[str]:
        return [each for each in here.warnings() if "one history" in each]

    for _ in range(2):
        here.own_outbox("a" * 13, "atlas:/srv/monitor.db")
        there.own_outbox("b" * 13, "boreas:/srv/monitor.db")
        assert split() == [], "the one that is no owner records nothing"
    assert there.own_outbox("b" * 13, "boreas:/srv/monitor.db", take_over=True).where == "boreas:/srv/monitor.db"
    assert split() == [], "nor does the one that was it"
    there.server.command(b"ZADD", there.server.key("recorders"), 2**40, "atlas:/srv/monitor.db")  # as version 0.9 does
    (warning,) = split()
    assert "found 2, each with a part of the jobs (atlas:/srv/monitor.db, boreas:/srv/monitor.db)" in warning
    monkeypatch.setattr(maintenance, "OWNER_S", -(2.0**41))
    assert here.recorders() == [], "they have not said so for a while"
