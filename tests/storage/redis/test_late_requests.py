"""A request that arrives after those that were sent in its place changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from duey import errors
from duey.model.job import ONCE
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job, jobs, state
from tests.storage.redis.proxy import LossyLine


@pytest.fixture
def hand(lossy_line: LossyLine, open_storage: Callable[..., RedisStorage], hire: Callable[..., Hand]) -> Hand:
    """A worker at the end of a line that delivers late. The server knows its scripts."""
    storage = open_storage(lossy_line.url)
    hand = hire(storage)
    hand.claim(0)
    storage.release_claims(hand.n, [])
    return hand


def test_a_turn_that_comes_after_its_successor_claims_nothing(lossy_line: LossyLine, hand: Hand, storage: RedisStorage):
    storage.enqueue_jobs(jobs("abc"))
    lossy_line.hold_up("settle_and_claim")
    with pytest.raises(errors.StorageUnavailable):
        hand.claim(1)
    claim = hand.claim_one()
    lossy_line.deliver()
    assert (storage.counts().running, storage.counts().queued) == (1, 2)
    assert not hand.settle(claim).lost
    assert [hand.claim_one().job.id, hand.claim_one().job.id] == ["b", "c"]


def test_a_turn_that_comes_before_its_successor_is_known_to_it(
    lossy_line: LossyLine, hand: Hand, storage: RedisStorage
):
    storage.enqueue_jobs(jobs("abc"))
    lossy_line.hold_up("settle_and_claim")
    with pytest.raises(errors.StorageUnavailable):
        hand.claim(1)
    lossy_line.deliver()
    assert [claim.job.id for claim in hand.claim(2)] == ["a", "b"]
    assert storage.counts().queued == 1


def test_a_late_turn_of_a_worker_that_registered_again_claims_nothing(
    lossy_line: LossyLine, hand: Hand, storage: RedisStorage
):
    storage.enqueue_jobs(jobs("ab"))
    lossy_line.hold_up("settle_and_claim")
    with pytest.raises(errors.StorageUnavailable):
        hand.claim(1)
    storage.lifecycle.reap(hand.dead(), 3)
    hand.storage.control_signals(hand.n)  # registers again
    lossy_line.deliver()
    assert (storage.counts().running, storage.counts().queued) == (0, 2)


def test_a_late_return_does_not_take_a_job_from_its_body(lossy_line: LossyLine, hand: Hand, storage: RedisStorage):
    storage.enqueue_jobs([job("a", flags=ONCE)])
    claim = hand.claim_one()
    lossy_line.hold_up("release_claims", 2)  # it is sent twice
    with pytest.raises(errors.StorageUnavailable):
        hand.storage.release_claims(hand.n, [claim])
    assert hand.storage.hold(hand.presence, claim.token)
    lossy_line.deliver()
    assert (storage.counts().running, storage.counts().queued) == (1, 0)
    assert not hand.settle(claim).lost


def test_a_late_outcome_changes_nothing(lossy_line: LossyLine, hand: Hand, storage: RedisStorage):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    lossy_line.hold_up("settle_and_claim")
    with pytest.raises(errors.StorageUnavailable):
        hand.settle(claim)
    assert not hand.settle(claim).lost
    lossy_line.deliver()
    assert state(storage, "a") == "done"


def test_claims_of_a_lost_answer_do_not_wait_for_a_free_thread(
    lossy_line: LossyLine, hand: Hand, storage: RedisStorage
):
    """The worker asks for no job as long as its bodies run."""
    storage.enqueue_jobs(jobs("abc"))
    running = hand.claim_one()
    lossy_line.lose, lossy_line.armed = 1.0, True
    with pytest.raises(errors.StorageUnavailable):
        hand.claim(1)
    lossy_line.armed = False
    assert storage.counts().running == 2
    hand.storage.control_signals(hand.n)
    assert (storage.counts().running, storage.counts().queued) == (1, 2)
    assert not hand.storage.settle_and_claim(hand.n, [ended(running)], 0, ()).lost
    assert [claim.job.id for claim in hand.claim(3)] == ["b", "c"]


def test_a_late_sign_of_life_brings_back_no_worker(lossy_line: LossyLine, hand: Hand, storage: RedisStorage):
    hand.storage.beat([hand.n], 30.0)
    hand.storage.watch._beat_due.clear()  # so that it is due again
    lossy_line.hold_up("beat", 2)
    with pytest.raises(errors.StorageUnavailable):
        hand.storage.beat([hand.n], 30.0)
    hand.storage.unregister(hand.n)
    lossy_line.deliver()
    assert not storage.worker_infos()
    assert not storage.server.command(b"EXISTS", storage.server.key(f"worker:{hand.n}"), storage.server.key("leases"))


def test_a_late_registration_does_not_let_older_requests_in_again(
    lossy_line: LossyLine, hand: Hand, storage: RedisStorage, hire: Callable[..., Hand]
):
    lossy_line.hold_up("register")
    new = hire(hand.storage)  # its registration is sent again
    lossy_line.lose, lossy_line.armed = 1.0, True
    with pytest.raises(errors.StorageUnavailable):
        new.claim(0)
        new.claim(1)
    lossy_line.armed = False
    new.claim(0), new.claim(1)
    lossy_line.deliver()
    assert storage.server.command(b"HGET", storage.server.key(f"worker:{new.n}"), "epoch") == b"1"


def test_a_lock_that_nobody_holds_is_freed(lossy_line: LossyLine, hand: Hand, storage: RedisStorage):
    """It was taken by a request that its worker had given up, and would stand as long as the worker lives."""
    data = hand.storage.data
    assert data.put_if_empty("held", b"1", None, hand.n)
    assert data.put_if_empty("late", b"1", None, hand.n) and data.delete("late")
    lossy_line.hold_up("lock")
    with pytest.raises(errors.StorageUnavailable):
        data.put_if_empty("late", b"2", None, hand.n)
    lossy_line.deliver()
    assert storage.put_if_empty("child", b"1")  # as a process would that a body has forked
    storage.server.command(b"SADD", storage.server.key(f"locks_of:{hand.n}"), "child")
    hand.storage.control_signals(hand.n)
    free = {key: storage.put_if_empty(key, b"3") for key in ("held", "late", "child")}
    assert free == {"held": False, "late": True, "child": False}
