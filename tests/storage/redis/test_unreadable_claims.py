"""A job whose keys somebody has changed fails by itself, and holds up neither its neighbours nor a rescue."""

from __future__ import annotations

import pytest

from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, jobs, state


@pytest.fixture(params=["body", "m"])
def spoiled(request: pytest.FixtureRequest, storage: RedisStorage) -> RedisStorage:
    """Of the jobs a, b and c the second cannot be read."""
    storage.enqueue_jobs(jobs("abc"))
    if request.param == "body":
        storage.server.command(b"SET", storage.server.key("body:b"), b"\xff no JSON")
    else:
        storage.server.command(b"HSET", storage.server.key("job:b"), "m", "1,2,")
    return storage


def test_it_is_claimed_with_the_others(spoiled: RedisStorage, hand: Hand):
    a, b, c = hand.claim(3)
    assert (b.job.id, b.job.task, b.job.payload) == ("b", a.job.task, b"")
    for claim, outcome in ((a, "done"), (b, "failed"), (c, "done")):
        assert not hand.settle(claim, outcome).lost
    assert [state(spoiled, each) for each in "ac"] == ["done", "done"]
    hand.storage.control_signals(hand.n)
    assert spoiled.counts().running == 0


def test_a_rescue_releases_it_with_the_others(spoiled: RedisStorage, hand: Hand):
    hand.claim(3)
    hand.die()
    spoiled.lifecycle.reap(hand.dead(), 3)
    assert (spoiled.counts().running, spoiled.counts().queued) == (0, 3)
