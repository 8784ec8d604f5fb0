"""Who sleeps is woken by what it can do, and by nothing else."""

from __future__ import annotations

import os
import signal
import time

from tests.contracts.rig import SOON_S, job, jobs
from tests.support import wait_until

LONG_S, SHORT_S = 60.0, 0.05


def fall_asleep(hand):
    """As the prefetcher does it: say so, look once more, and only then wait."""
    hand.presence.asleep(True)
    assert hand.claim() == []


def is_rung(hand):
    return hand.presence.pipe.wait(LONG_S)


def sleepers(storage):
    return [int(n) for n in storage.server.command(b"ZRANGE", storage.server.key("sleepers"), 0, -1)]


def test_a_ring_goes_to_a_sleeper_that_serves_the_queue_and_to_no_other(storage, open_storage, hire):
    slow, fast = hire(queues=("slow",)), hire(queues=("fast", "other"))
    fall_asleep(slow)
    fall_asleep(fast)
    storage.server.command(b"ZADD", storage.server.key("sleepers"), 1e12, 4711)  # the dead swallow no rings
    open_storage().enqueue_jobs([job("a", queue="fast")])
    assert is_rung(fast) and not slow.presence.pipe.wait(SHORT_S)
    fall_asleep(slow)  # who has waited in vain looks for itself, and sleeps on
    assert sleepers(storage) == [slow.n]
    fast.presence.asleep(False)
    assert fast.claim_one().job.id == "a"
    assert not fast.claim() and sleepers(storage) == [slow.n], "who is awake is no sleeper"
    storage.enqueue_jobs([job("b", queue="fast")])
    assert not fast.presence.pipe.wait(SHORT_S), "and is not rung"
    storage.unregister(slow.n)
    assert sleepers(storage) == [], "nor is one that leaves"


def test_as_many_are_rung_as_there_are_jobs(storage, hire):
    for hand in [hire() for _ in range(3)]:
        fall_asleep(hand)
    storage.enqueue_jobs(jobs("ab"))
    assert len(sleepers(storage)) == 1
    storage.wake(5)
    assert sleepers(storage) == []


def test_whatever_brings_work_rings(storage, hire):
    """A job for later wakes one, too, so that it knows until when to sleep."""
    busy, idle = hire(), hire()
    brings = {
        "release": lambda claim: storage.release_claims(busy.n, [claim]),
        "retry": lambda claim: storage.retry(claim.job.id, None, 0),
        "settle": lambda claim: busy.settle(claim, follow_ups=(job("next"),)),
        "later": lambda claim: storage.enqueue_jobs([job("l", eta=time.time() + 3600)]),
        "resume": lambda claim: storage.resume("queue", "held"),
    }
    for verb, bring in brings.items():
        storage.flush_queue()
        storage.pause("queue", "held")
        storage.enqueue_jobs([job(verb), job(f"held {verb}", queue="held", priority=9)])
        claim = busy.claim_one()
        if verb == "retry":
            busy.settle(claim, "failed")
        fall_asleep(idle)
        bring(claim)
        assert is_rung(idle), verb
        idle.presence.asleep(False)
        for found in idle.claim():
            idle.settle(found)


def test_a_signal_handler_of_the_own_process_may_ring(hand):
    hand.presence.asleep(True)
    before = signal.signal(signal.SIGUSR2, lambda *_: hand.presence.pipe.notify())
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        assert is_rung(hand)
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_who_waits_for_a_job_leaves_nothing_behind(storage):
    storage.enqueue_jobs(jobs("a"))
    assert not storage.wait_ended("a", SHORT_S)
    assert storage.server.command(b"KEYS", storage.server.key("wait*")) == []


def test_the_listener_comes_back_with_redis(own_server, open_storage, hire):
    storage = open_storage(own_server.url)
    hand = hire(storage)
    fall_asleep(hand)
    own_server.stop()
    own_server.start()
    names = (f"a{n}" for n in range(10_000))
    wait_until(lambda: storage.enqueue_jobs([job(next(names))]).accepted[0].fresh, SOON_S, "Redis is back")
    wait_until(
        lambda: hand.presence.pipe.wait(1.0) or storage.enqueue_jobs([job(next(names))]) is None, SOON_S, "a ring"
    )
