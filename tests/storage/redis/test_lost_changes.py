"""Redis has lost what it had answered already: a replica without the last changes took over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duey.model.job import ONCE
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job, jobs, state
from tests.storage.redis.lost_changes import Pair, running_pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with running_pair(tmp_path) as pair:
        yield pair


@pytest.fixture
def storage(pair: Pair, open_storage: Callable[..., RedisStorage]) -> RedisStorage:
    storage = open_storage(pair.url)
    storage.prepare()
    return storage


def look_around(hand: Hand) -> None:
    """What every worker does twice a second."""
    hand.storage.control_signals(hand.n)


def test_claims_that_a_worker_does_not_hold_are_returned(pair: Pair, storage: RedisStorage, hand: Hand):
    storage.enqueue_jobs([*jobs("abc"), job("once", flags=ONCE), job("never", flags=ONCE), job("waits")])
    settled, returned, held, once, never = hand.claim(5)
    assert storage.data.put_if_empty("lock", b"1", None, hand.n)
    assert storage.hold(hand.presence, once.token) and storage.hold(hand.presence, never.token)
    pair.cut()
    assert not hand.commit(ended(settled), ended(never), ended(once)).lost
    storage.release_claims(hand.n, [returned])
    storage.data.delete("lock")
    pair.lose()
    assert (storage.counts().running, state(storage, "a")) == (5, "queued")  # claimed, and no thread has it

    del storage.sessions._sessions[hand.n].once[never.token]  # as after a thousand others
    look_around(hand)
    assert storage.put_if_empty("lock", b"2"), "nobody holds it"
    assert state(storage, "once") == "done", "it must not run twice, and the worker knows how it ended"
    assert (storage.counts().running, storage.counts().queued) == (2, 3)
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
    pair.lose()
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
