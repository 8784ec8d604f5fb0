"""Who sleeps is woken by what it can do, and by nothing else."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.contracts.rig import job, jobs
from tests.support import wait_until

LONG_S, SOON_S, SHORT_S = 60.0, 10.0, 0.05


def fall_asleep(hand):
    """As the prefetcher does it: say so, look once more, and only then wait."""
    hand.presence.asleep(True)
    assert hand.claim() == []


def is_rung(hand):
    began = time.monotonic()
    return hand.presence.pipe.wait(LONG_S) and time.monotonic() - began < SOON_S


def sleepers(storage):
    return [int(n) for n in storage.server.command(b"ZRANGE", storage.server.key("sleepers"), 0, -1)]


def test_a_worker_that_looked_once_more_is_woken(storage, open_storage, hand):
    fall_asleep(hand)
    open_storage().enqueue_jobs(jobs("a"))
    assert is_rung(hand)
    hand.presence.asleep(False)
    assert hand.claim_one().id == "a"


def test_a_ring_goes_to_a_worker_that_serves_the_queue(storage, hire):
    slow, fast = hire(queues=("slow",)), hire(queues=("fast", "other"))
    fall_asleep(slow)
    fall_asleep(fast)
    storage.enqueue_jobs([job("a", queue="fast")])
    assert is_rung(fast)
    assert not slow.presence.pipe.wait(SHORT_S)
    assert sleepers(storage) == [slow.n]


def test_as_many_are_rung_as_there_are_jobs(storage, hire):
    hands = [hire() for _ in range(3)]
    for hand in hands:
        fall_asleep(hand)
    storage.enqueue_jobs(jobs("ab"))
    assert len(sleepers(storage)) == 1
    storage.wake(5)
    assert sleepers(storage) == []


def test_a_job_for_later_wakes_one_so_that_it_knows_until_when_to_sleep(storage, hand):
    fall_asleep(hand)
    storage.enqueue_jobs([job("a", eta=time.time() + 3600)])
    assert is_rung(hand)


@pytest.mark.parametrize("verb", ["give_back", "retry", "resume", "settle"])
def test_whatever_brings_work_rings(storage, hire, verb):
    busy, idle = hire(), hire()
    if verb == "resume":
        storage.pause("queue", "default")
    storage.enqueue_jobs(jobs("a"))
    claims = busy.claim()
    if verb == "retry":
        busy.settle(claims[0], "failed")
    fall_asleep(idle)
    if verb == "give_back":
        storage.release_claims(busy.n, claims)
    elif verb == "retry":
        storage.retry("a", None, 0)
    elif verb == "resume":
        storage.resume("queue", "default")
    else:
        busy.settle(claims[0], next_jobs=[job("next")])
    assert is_rung(idle)


def test_who_is_awake_is_not_rung(storage, hand):
    fall_asleep(hand)
    hand.presence.asleep(False)
    hand.claim()
    assert sleepers(storage) == []
    storage.enqueue_jobs(jobs("a"))
    assert not hand.presence.pipe.wait(SHORT_S)


def test_the_dead_do_not_swallow_rings(storage, hand):
    fall_asleep(hand)
    storage.server.command(b"ZADD", storage.server.key("sleepers"), 1e12, 4711)
    storage.enqueue_jobs(jobs("a"))
    assert is_rung(hand)
    assert sleepers(storage) == []


def test_a_signal_handler_of_the_own_process_may_ring(hand):
    hand.presence.asleep(True)
    before = signal.signal(signal.SIGUSR2, lambda *_: hand.presence.pipe.notify())
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        assert is_rung(hand)
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_worker_that_leaves_is_no_sleeper(storage, hand):
    fall_asleep(hand)
    storage.unregister(hand.n)
    assert sleepers(storage) == []


def test_who_waits_for_a_job_leaves_nothing_behind(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    assert not storage.wait_ended("a", SHORT_S)
    keys = storage.server.command(b"KEYS", storage.server.key("wait*"))
    assert keys == []


def test_the_listener_comes_back_with_redis(own_server, open_storage, hire):
    storage = open_storage(own_server.url)
    hand = hire(storage)
    fall_asleep(hand)
    own_server.stop()
    own_server.start()
    wait_until(lambda: accepts(storage), SOON_S, "Redis is back")
    wait_until(
        lambda: hand.presence.pipe.wait(1.0) or storage.enqueue_jobs([job(f"b{time.time()}")]) is None, SOON_S, "a ring"
    )


def accepts(storage):
    return storage.enqueue_jobs([job(f"a{time.time()}")]).accepted[0].fresh
