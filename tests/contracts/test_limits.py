"""Limits: so many at once, so many in a time; what is over is set aside in its order and comes back by itself."""

from __future__ import annotations

import pytest

import duey
from duey import errors
from duey.model.limits import Limit
from tests.contracts.rig import TASK, job, jobs, kinds, look, state
from tests.support import rows

FREE = "shop.free"


@pytest.fixture
def limit(storage):
    """Sets the limits of the task `shop.order`, as the storage of a process has them that knows it."""

    def use(places=None, rate=None, burst=None):
        token_s = None if rate is None else rate[1] / rate[0]
        storage.limits = {TASK: Limit(places, token_s, float(burst or (rate[0] if rate else 0)))}

    return use


def ids(claims):
    return [claim.job.id for claim in claims]


def reasons(storage, names):
    return {look(storage, each).reason for each in names}


# at once


def test_no_more_are_claimed_than_there_are_places_and_each_end_lets_the_next_one_in(storage, hire, limit):
    limit(2)
    storage.enqueue_jobs(jobs("abcde"))
    hand = hire()
    a, b = hand.claim(5)
    assert ids([a, b]) == ["a", "b"] and hire().claim(5) == []
    assert reasons(storage, "cde") == {"limit shop.order"} and storage.counts().blocked == 3
    assert [state(storage, each) for each in "abcde"].count("queued") == 2  # none of the bodies has begun
    hand.settle(b)
    (c,) = hand.claim(5)
    hand.settle(a)
    hand.settle(c)
    assert ids(hand.claim(5)) == ["d", "e"]
    assert kinds(storage, "e") == ["enqueued", "blocked", "unblocked"]


def test_whatever_ends_a_claim_frees_its_place(storage, hand, clock, limit):
    limit(1)
    for outcome in ("done", "failed", "canceled", "expired", "retrying", "released", "blocked"):
        storage.enqueue_jobs([job(outcome), job("b")])
        more = {"eta": clock.at + 60} if outcome in ("retrying", "released") else {}
        hand.settle(hand.claim_one(), outcome, **more, **({"reason": "unknown"} if outcome == "blocked" else {}))
        b = hand.claim_one()
        assert b.job.id == "b", outcome
        hand.settle(b)
        storage.forget("b")


def test_what_is_over_the_limit_comes_back_by_priority_and_age(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs([job("a"), job("b"), job("c", priority=5), job("d", priority=5)])
    first = hand.claim_one()
    storage.enqueue_jobs([job("e", priority=9)])
    hand.claim(5)
    order = []
    while first:
        order.append(first.job.id)
        hand.settle(first)
        (first,) = hand.claim(1) or [None]
    assert order == ["c", "e", "d", "a", "b"]


def test_many_over_the_limit_are_met_once_and_hold_up_no_other_task(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs([job(f"o{n}", priority=9) for n in range(1200)])
    storage.enqueue_jobs([job("x", task=FREE), job("y", task=FREE)])
    claims = [*hand.claim(3), *hand.claim(2)]  # a turn sets no more than so many aside
    assert ids(claims) == ["o0", "x", "y"] and storage.counts().blocked == 1199
    while events := storage.lifecycle.read_events(10_000):
        storage.delete_events(events)
    assert hand.claim(5) == []
    assert kinds(storage) == [], "no second meeting"


def test_a_death_frees_the_place_of_a_job_or_gives_it_back_to_it(storage, hire, limit):
    limit(1)
    for most, first in ((1, "b"), (3, "a")):
        storage.enqueue_jobs(jobs("ab"))
        hand = hire()
        hand.begin(hand.claim_one())
        hire().claim(5)
        hand.die()
        storage.lifecycle.reap(hand.dead(), most)
        assert state(storage, "a") == ("failed" if most == 1 else "queued")
        other = hire()
        claim = other.claim_one()
        assert claim.job.id == first
        other.settle(claim)
        if most > 1:
            assert other.claim_one().job.id == "b"
        for each in "ab" if most == 1 else "":
            storage.forget(each)


def test_what_was_given_back_keeps_nobody_out(storage, hire, limit):
    limit(1)
    storage.enqueue_jobs(jobs("ab"))
    hand, other = hire(), hire()
    claim = hand.claim_one()
    assert other.claim(5) == []
    storage.release_claims(hand.n, [claim])
    (a,) = other.claim(5)
    other.settle(a)
    assert (a.job.id, other.claim_one().job.id) == ("a", "b")


def test_those_who_wait_may_be_canceled_also_the_next_in_line(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs(jobs("abcd"))
    a = hand.claim_one()
    hand.claim(5)
    storage.lifecycle.cancel("b")
    assert hand.claim(5) == []
    hand.settle(a)  # c is let in ...
    storage.lifecycle.cancel("c")  # ... and goes
    assert ids(hand.claim(5)) == ["d"]


def test_the_next_in_line_in_a_queue_that_nobody_serves_holds_up_no_other_for_long(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs([job("a"), job("b", queue="far"), job("c")])
    (a,) = hand.claim(5, "default", "far")
    hand.settle(a)
    assert hand.claim(5, "default") == []
    storage.lifecycle.run_maintenance()
    assert ids(hand.claim(5, "default")) == ["c"]


def test_a_paused_job_takes_no_place(storage, hand, limit):
    limit(1)
    storage.pause("queue", "slow")
    storage.enqueue_jobs([job("a", queue="slow", priority=9), job("b")])
    assert ids(hand.claim(5)) == ["b"]
    storage.resume("queue", "slow")
    assert (hand.claim(5), reasons(storage, "a")) == ([], {"limit shop.order"})


def test_a_limit_that_was_raised_or_taken_away_lets_them_in_with_the_next_start(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs(jobs("abcdefg"))
    hand.claim(5)
    limit(3)
    storage.unblock_tasks([TASK])
    assert ids(hand.claim(5)) == ["b", "c"]
    storage.limits = {}
    assert storage.unblock_tasks(["shop.other"]) == 0
    storage.unblock_tasks([TASK])
    assert ids(hand.claim(2)) == ["d", "e"]
    limit(rate=(1, 1000.0))
    assert ids(hand.claim(5)) == ["f"] and reasons(storage, "g") == {"rate shop.order"}
    storage.limits = {}
    storage.unblock_tasks([TASK])
    assert ids(hand.claim(5)) == ["g"]


def test_who_ends_a_claim_need_not_know_the_limit(storage, elsewhere, hire, limit):
    limit(2)
    storage.enqueue_jobs(jobs("abcd"))
    hand = hire()
    hand.claim(5)
    assert not elsewhere.limits
    hand.die()
    elsewhere.lifecycle.reap(hand.dead(), 1)
    assert ids(hire().claim(5)) == ["a", "b"]
    elsewhere.lifecycle.cancel("c")
    assert state(storage, "c") == "canceled"


# in a time


def test_a_bucket_lets_a_burst_through_and_then_fills_evenly(storage, hand, clock, limit):
    limit(rate=(4, 2.0))
    storage.enqueue_jobs([job(f"j{n}") for n in range(10)])
    assert ids(hand.claim(10)) == ["j0", "j1", "j2", "j3"]
    assert reasons(storage, ["j4"]) == {"rate shop.order"}
    assert storage.settle_and_claim(hand.n, (), 1, ("*",)).next_due == pytest.approx(clock.at + 0.5)
    starts = []
    for tick in range(1, 25):
        clock.advance(0.125)
        starts += [(tick * 0.125, claim.job.id) for claim in hand.claim(10)]
    assert starts == [(0.5 * (n - 3), f"j{n}") for n in range(4, 10)]


def test_no_window_has_more_than_bucket_and_refill(storage, hand, clock, limit):
    limit(rate=(5, 1.0))
    storage.enqueue_jobs([job(f"j{n}") for n in range(50)])
    begun = clock.at
    starts = []
    while len(starts) < 30:
        starts += [clock.at] * len(hand.claim(64))
        clock.advance(0.0625)
    for first in starts:
        assert sum(first <= start < first + 1 for start in starts) <= 10
    assert starts[-1] - begun == pytest.approx((30 - 5) / 5, abs=0.1)
    clock.advance(1000)
    assert len(hand.claim(64)) == 5, "a bucket never holds more than its size"


def test_a_bucket_may_hold_less_than_its_rate_and_who_waits_may_be_canceled(storage, hand, clock, limit):
    limit(rate=(10, 10.0), burst=1)
    storage.enqueue_jobs(jobs("abcd"))
    found = []
    for _ in range(3):
        found += ids(hand.claim(10))
        storage.lifecycle.cancel("b") if state(storage, "b") == "blocked" else None
        clock.advance(1)
    assert found == ["a", "c", "d"]


def test_a_start_that_was_given_back_costs_no_token_and_one_that_has_begun_costs_it(storage, hire, limit):
    limit(rate=(2, 100.0))
    storage.enqueue_jobs(jobs("abc"))
    hand, dead, last = hire(), hire(), hire()
    storage.release_claims(hand.n, hand.claim(5))
    assert ids(dead.claim(5)) == ["a", "b"]
    dead.die()
    storage.lifecycle.reap(dead.dead(), 3)
    last.begin(last.claim_one())
    last.die()
    storage.lifecycle.reap(last.dead(), 3)
    assert ids(hire().claim(5)) == ["a"], "one of two"
    assert reasons(storage, "bc") == {"rate shop.order"}


def test_both_limits_hold_and_flushing_leaves_no_gate_shut(storage, hand, clock, limit):
    limit(2, rate=(3, 30.0))
    storage.enqueue_jobs(jobs("abcde"))
    a, b = hand.claim(5)
    hand.settle(a)
    hand.settle(b)
    assert ids(hand.claim(5)) == ["c"] and reasons(storage, "de") == {"rate shop.order"}
    clock.advance(10)
    d = hand.claim_one()
    clock.advance(10)
    assert (d.job.id, hand.claim(5), reasons(storage, "e")) == ("d", [], {"limit shop.order"})
    storage.flush_queue()
    storage.flush_schedule()
    hand.settle(d)
    storage.enqueue_jobs(jobs("f"))
    assert ids(hand.claim(5)) == ["f"]


# as tasks have it


@rows(
    ("options", "sentence"),
    [
        ({"limit": 0}, "limit is how many may run at once"),
        ({"limit": True}, "limit is how many may run at once"),
        ({"rate": 5}, "rate is (n, seconds)"),
        ({"rate": (0, 1)}, "rate is (n, seconds)"),
        ({"rate": (1, 0)}, "rate is (n, seconds)"),
        ({"rate": (1, 1, 0)}, "rate is (n, seconds)"),
    ],
)
def test_limits_that_make_no_sense_are_refused(huey, options, sentence):
    with pytest.raises(errors.Misconfigured) as refused:
        huey.task(**options)(lambda: None)
    assert sentence in str(refused.value)


def test_two_processes_share_the_places(huey, settings):
    other = duey.build(settings)
    task, _ = (each.task(name="t", limit=1)(lambda: None) for each in (huey, other))
    task(), task()
    assert huey.dequeue() is not None and other.dequeue() is None
    other.storage.close()
