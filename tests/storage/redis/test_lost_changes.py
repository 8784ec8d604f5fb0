"""Redis has lost what it had answered already: a replica without the last changes took over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from duey.model.job import ONCE
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job, jobs, state
from tests.storage.redis.proxy import LossyLine
from tests.support import needs, wait_until
from tests.support.redis_server import MISSING, RedisServer, redis_binary


class Pair:
    """A server and its replica; `line` leads to the one that is in use."""

    def __init__(self, first: RedisServer, second: RedisServer) -> None:
        self.first, self.second = first, second
        self.line = LossyLine(first.url)
        with redis.Redis(port=second.port) as replica:
            replica.replicaof("127.0.0.1", str(first.port))

    def cut(self) -> None:
        """The replica gets no changes any more."""
        with redis.Redis(port=self.first.port) as first, redis.Redis(port=self.second.port) as second:
            wait_until(lambda: first.wait(1, 100) == 1, 10, "the replica has all changes")
            second.replicaof("NO", "ONE")

    def take_over(self) -> None:
        """The replica is used from now on. All connections end."""
        self.line.lead_to(self.second.url)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    binary = needs(redis_binary(), MISSING)
    at_once = ["--save", "", "--repl-diskless-sync-delay", "0"]
    servers = (RedisServer(binary, tmp_path / name, at_once) for name in ("first", "second"))
    with next(servers) as first, next(servers) as second:
        pair = Pair(first, second)
        yield pair
        pair.line.close()


@pytest.fixture
def storage(pair: Pair, open_storage: Callable[..., RedisStorage]) -> RedisStorage:
    storage = open_storage(pair.line.url)
    storage.prepare()
    return storage


def look_around(hand: Hand) -> None:
    """What every worker does twice a second."""
    hand.storage.control_signals(hand.n)


def test_claims_that_a_worker_does_not_hold_are_returned(pair: Pair, storage: RedisStorage, hand: Hand):
    storage.enqueue_jobs([*jobs("abc"), job("once", flags=ONCE), job("waits")])
    settled, returned, held, once = hand.claim(4)
    pair.cut()
    assert not hand.commit(ended(settled), ended(once)).lost
    storage.release_claims(hand.n, [returned])
    pair.take_over()
    assert (storage.counts().running, state(storage, "a")) == (4, "queued")  # claimed, and no thread has it

    look_around(hand)
    assert (storage.counts().running, storage.counts().queued) == (1, 3)
    assert state(storage, "once") == "done", "it must not run twice, and the worker knows how it ended"
    assert not hand.settle(held).lost
    again = hand.claim(3)
    assert [(claim.job.id, claim.job.crashes) for claim in again] == [("a", 0), ("b", 0), ("waits", 0)]
    assert not hand.commit(*map(ended, again)).lost


def test_a_worker_whose_claim_is_gone_writes_nothing(pair: Pair, storage: RedisStorage, hire: Callable[..., Hand]):
    storage.enqueue_jobs(jobs("ab"))
    known = hire()
    pair.cut()
    new = hire()  # its registration is lost as well
    lost = [known.claim_one(), new.claim_one()]
    pair.take_over()
    look_around(known)
    look_around(new)
    assert {info.id for info in storage.worker_infos()} == {str(known.n), str(new.n)}
    again = new.claim(2)
    assert not {claim.token for claim in again} & {claim.token for claim in lost}
    for hand, claim in zip((known, new), lost, strict=True):
        assert hand.settle(claim).lost == {claim.token}
    assert not new.commit(*map(ended, again)).lost
    assert (state(storage, "a"), state(storage, "b")) == ("done", "done")


def test_claims_that_are_held_stay(storage: RedisStorage, hand: Hand):
    storage.enqueue_jobs(jobs("abc"))
    first, second = hand.claim(2)
    for _ in range(2):
        look_around(hand)
    assert storage.counts().running == 2
    assert not storage.settle_and_claim(hand.n, [ended(first), ended(second)], 0, ()).lost
