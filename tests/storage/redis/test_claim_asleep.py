"""A worker that sleeps gets its next job with the wake-up. Whatever becomes of that claim, no job is lost by it."""

from __future__ import annotations

import threading
import time

import redis

from duey.storage.redis.worker.wakeup_pipe import Early
from tests.contracts.rig import SOON_S, ended, job, jobs, look, state
from tests.storage.redis.test_selective_wake_ups import fall_asleep, is_rung
from tests.support.waiting import wait_until


def wake_up(hand):
    """As the prefetcher does it once it has waited."""
    hand.presence.asleep(False)
    return hand.claim()


def test_a_job_comes_with_the_wake_up_in_one_round_trip(far_line, open_storage, storage, hire):
    hand = hire(open_storage(far_line.url))
    fall_asleep(hand)
    before = far_line.trips
    storage.enqueue_jobs(jobs("ab"))
    assert is_rung(hand)
    (a,) = wake_up(hand)
    assert (a.job.id, look(storage, "a").place, far_line.trips - before) == ("a", "claimed", 1)
    (b,) = hand.claim()
    assert hand.settle(a).lost == hand.settle(b).lost == frozenset()
    assert (b.token, state(storage, "a"), state(storage, "b")) == (a.token + 1, "done", "done")


def test_outcomes_and_claims_of_the_sleep_are_one_turn(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    a = hand.claim_one()
    fall_asleep(hand)
    storage.enqueue_jobs(jobs("b"))
    assert is_rung(hand)
    hand.presence.asleep(False)
    turn = storage.settle_and_claim(hand.n, [ended(a)], 1, ("*",))
    assert [claim.job.id for claim in turn.claims] == ["b"] and state(storage, "a") == "done"
    assert hand.settle(turn.claims[0]).lost == frozenset() and state(storage, "b") == "done"


def test_who_falls_asleep_with_outcomes_claims_all_the_same(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    a = hand.claim_one()
    hand.presence.asleep(True)
    assert storage.settle_and_claim(hand.n, [ended(a)], 1, ("*",)).claims == []
    storage.enqueue_jobs(jobs("b"))
    assert is_rung(hand) and hand.presence.pipe._early.answer
    assert [claim.job.id for claim in wake_up(hand)] == ["b"]


def test_a_job_that_is_due_is_claimed_when_the_sleep_is_over(storage, hand):
    storage.enqueue_jobs([job("a", eta=time.time() + 0.2)])
    fall_asleep(hand)
    assert hand.presence.pipe.wait(0.3)
    assert [claim.job.id for claim in wake_up(hand)] == ["a"]


def test_who_is_woken_on_its_host_gets_what_it_claimed_asleep(storage, hand):
    """The wake-up of the own process is first, and the job comes at the same moment."""
    fall_asleep(hand)
    hand.presence.pipe.notify()
    assert is_rung(hand)
    storage.enqueue_jobs(jobs("ab"))  # Redis may not know yet that nobody waits
    (first,) = wake_up(hand)
    (second,) = hand.claim()
    assert {first.job.id, second.job.id} == {"a", "b"} and first.token != second.token
    for claim in (first, second):
        assert hand.settle(claim).lost == frozenset()
    assert (state(storage, "a"), state(storage, "b")) == ("done", "done")


def test_a_claim_whose_answer_is_lost_is_found_by_the_next_turn(own_server, open_storage, hire):
    storage = open_storage(own_server.url)
    hand = hire(storage)
    fall_asleep(hand)
    asleep = threading.Thread(target=hand.presence.pipe.wait, args=(SOON_S,))
    asleep.start()
    with redis.Redis(port=own_server.port) as plain:

        def blocked() -> int:
            return plain.info("clients")["blocked_clients"]

        wait_until(blocked, SOON_S, "it waits")
        with plain.pipeline(transaction=True) as both:  # at once, so that no answer gets through
            both.lpush(storage.server.key(f"wakeup:{hand.n}"), "1")
            both.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            both.execute()
    asleep.join(SOON_S)
    storage.enqueue_jobs(jobs("a"))
    assert [claim.job.id for claim in wake_up(hand)] == ["a"]


def test_a_claim_that_comes_too_late_changes_nothing(storage, hand):
    """Redis executes what a sleeper sent although it has given up waiting."""
    fall_asleep(hand)
    pipe = hand.presence.pipe
    epoch, claim = pipe._planned
    hand.presence.asleep(False)
    pipe._early = Early(epoch)  # as after a wait that was broken off
    storage.enqueue_jobs(jobs("ab"))
    (a,) = hand.claim()
    with redis.Redis.from_url(storage.server.url) as plain:
        connection = plain.connection_pool.get_connection()
        connection.send_packed_command([claim])
        assert connection.read_response() == 0
        plain.connection_pool.release(connection)
    assert look(storage, "b").place == "ready" and hand.settle(a).lost == frozenset()
