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

    def use(places=None, rate=None, burst=None, at=storage):
        token_s = None if rate is None else rate[1] / rate[0]
        at.limits = {TASK: Limit(places, token_s, float(burst or (rate[0] if rate else 0)))}

    return use


def ids(claims):
    return [claim.id for claim in claims]


# at once


def test_no_more_are_claimed_than_there_are_places(storage, hire, limit):
    limit(2)
    storage.enqueue_jobs(jobs("abcde"))
    assert ids(hire().claim(5)) == ["a", "b"]
    assert hire().claim(5) == []
    assert [look(storage, each).reason for each in "cde"] == ["limit shop.order"] * 3
    assert [state(storage, each) for each in "abcde"].count("queued") == 2  # none of the bodies has begun
    assert storage.counts().blocked == 3


def test_each_end_lets_the_next_one_in(storage, hand, limit):
    limit(2)
    storage.enqueue_jobs(jobs("abcde"))
    a, b = hand.claim(5)
    hand.settle(b)
    (c,) = hand.claim(5)
    hand.settle(a)
    hand.settle(c)
    assert ids(hand.claim(5)) == ["d", "e"]
    assert kinds(storage, "e") == ["enqueued", "blocked", "unblocked"]


@pytest.mark.parametrize("outcome", ["done", "failed", "canceled", "expired", "retrying", "released", "blocked"])
def test_whatever_ends_a_claim_frees_its_place(storage, hand, clock, limit, outcome):
    limit(1)
    storage.enqueue_jobs(jobs("ab"))
    more = {"eta": clock.at + 60} if outcome in ("retrying", "released") else {}
    hand.settle(hand.claim_one(), outcome, **more, **({"reason": "unknown"} if outcome == "blocked" else {}))
    assert hand.claim_one().id == "b"


def test_what_is_over_the_limit_comes_back_by_priority_and_age(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs([job("a"), job("b"), job("c", priority=5), job("d", priority=5)])
    first = hand.claim_one()
    storage.enqueue_jobs([job("e", priority=9)])
    hand.claim(5)
    assert first.id == "c"
    order = []
    while first:
        hand.settle(first)
        (first,) = hand.claim(1) or [None]
        order += [first.id] if first else []
    assert order == ["e", "d", "a", "b"]


def test_a_limit_does_not_hold_up_other_tasks(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs([job(f"o{n}", priority=9) for n in range(30)] + [job("x", task=FREE), job("y", task=FREE)])
    assert ids(hand.claim(3)) == ["o0", "x", "y"]


def test_many_over_the_limit_are_met_once_and_cost_later_claims_nothing(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs([job(f"o{n}") for n in range(1200)])
    storage.enqueue_jobs(jobs("x", task=FREE))
    assert [*hand.claim(2), *hand.claim(1)][0].id == "o0"  # a turn sets no more than so many aside
    assert state(storage, "x") == "queued"
    assert storage.counts().blocked == 1199
    assert hand.claim(5) == []
    assert len(kinds(storage)) == 1000  # as many as were asked for: no event for a second meeting
    storage.delete_events(storage.read_events(10_000))
    hand.claim(5)
    assert kinds(storage) == []


def test_a_death_frees_the_place_of_a_job_that_is_failed(storage, hire, limit):
    limit(1)
    storage.enqueue_jobs(jobs("ab"))
    hand = hire()
    hand.begin(hand.claim_one())
    hire().claim(5)
    hand.die()
    storage.reap(hand.dead(), 1)
    assert state(storage, "a") == "failed"
    assert hire().claim_one().id == "b"


def test_a_job_that_comes_back_from_a_dead_worker_takes_its_place_again(storage, hire, limit):
    limit(1)
    storage.enqueue_jobs(jobs("ab"))
    hand = hire()
    hand.begin(hand.claim_one())
    hire().claim(5)
    hand.die()
    storage.reap(hand.dead(), 3)
    other = hire()
    (again,) = other.claim(5)
    assert again.id == "a"
    other.settle(again)
    assert other.claim_one().id == "b"


def test_what_was_given_back_keeps_nobody_out(storage, hire, limit):
    limit(1)
    storage.enqueue_jobs(jobs("ab"))
    hand, other = hire(), hire()
    claim = hand.claim_one()
    assert other.claim(5) == []
    storage.release_claims(hand.n, [claim])
    (a,) = other.claim(5)
    other.settle(a)
    assert (a.id, other.claim_one().id) == ("a", "b")


def test_the_next_in_line_may_be_canceled(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs(jobs("abc"))
    a = hand.claim_one()
    hand.claim(5)
    hand.settle(a)  # b is let in ...
    storage.cancel("b")  # ... and goes
    assert ids(hand.claim(5)) == ["c"]


def test_those_who_wait_may_be_canceled(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs(jobs("abc"))
    a = hand.claim_one()
    hand.claim(5)
    storage.cancel("b")
    assert hand.claim(5) == []
    hand.settle(a)
    assert ids(hand.claim(5)) == ["c"]


def test_the_next_in_line_in_a_queue_that_nobody_serves_holds_up_no_other_for_long(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs([job("a"), job("b", queue="far"), job("c")])
    (a,) = hand.claim(5, "default", "far")
    hand.settle(a)
    assert hand.claim(5, "default") == []
    storage.run_maintenance()
    assert ids(hand.claim(5, "default")) == ["c"]


def test_a_paused_job_takes_no_place(storage, hand, limit):
    limit(1)
    storage.pause("queue", "slow")
    storage.enqueue_jobs([job("a", queue="slow", priority=9), job("b")])
    assert ids(hand.claim(5)) == ["b"]
    storage.resume("queue", "slow")
    assert hand.claim(5) == []
    assert look(storage, "a").reason == "limit shop.order"


def test_a_limit_that_was_raised_or_taken_away_lets_them_in_with_the_next_start(storage, hand, limit):
    limit(1)
    storage.enqueue_jobs(jobs("abcde"))
    hand.claim(5)
    limit(3)
    storage.unblock_tasks([TASK])
    assert ids(hand.claim(5)) == ["b", "c"]
    storage.limits = {}
    assert storage.unblock_tasks(["shop.other"]) == 0
    storage.unblock_tasks([TASK])
    assert ids(hand.claim(5)) == ["d", "e"]


def test_who_ends_a_claim_need_not_know_the_limit(storage, elsewhere, hire, limit):
    limit(2)
    storage.enqueue_jobs(jobs("abcd"))
    hand = hire()
    hand.claim(5)
    assert not elsewhere.limits
    hand.die()
    elsewhere.reap(hand.dead(), 1)
    assert ids(hire().claim(5)) == ["a", "b"]
    stranger = hire(elsewhere)
    stranger.storage.cancel("c")
    assert state(storage, "c") == "canceled"


# in a time


def test_a_bucket_lets_a_burst_through_and_then_fills_evenly(storage, hand, clock, limit):
    limit(rate=(4, 2.0))
    storage.enqueue_jobs([job(f"j{n}") for n in range(10)])
    assert ids(hand.claim(10)) == ["j0", "j1", "j2", "j3"]
    assert look(storage, "j4").reason == "rate shop.order"
    starts = []
    for tick in range(1, 25):
        clock.advance(0.125)
        starts += [(tick * 0.125, claim.id) for claim in hand.claim(10)]
    assert starts == [(0.5 * (n - 3), f"j{n}") for n in range(4, 10)]


def test_no_window_has_more_than_bucket_and_refill(storage, hand, clock, limit):
    limit(rate=(5, 1.0))
    storage.enqueue_jobs([job(f"j{n}") for n in range(100)])
    begun = clock.at
    starts = []
    while len(starts) < 60:
        starts += [clock.at] * len(hand.claim(64))
        clock.advance(0.03125)
    for first in starts:
        assert sum(first <= start < first + 1 for start in starts) <= 10
    assert starts[-1] - begun == pytest.approx((60 - 5) / 5, abs=0.1)


def test_a_bucket_may_hold_less_than_its_rate(storage, hand, clock, limit):
    limit(rate=(10, 10.0), burst=1)
    storage.enqueue_jobs(jobs("abc"))
    found = []
    for _ in range(3):
        found.append(ids(hand.claim(10)))
        clock.advance(1)
    assert found == [["a"], ["b"], ["c"]]


def test_a_bucket_never_holds_more_than_its_size(storage, hand, clock, limit):
    limit(rate=(2, 1.0))
    storage.enqueue_jobs(jobs("a"))
    hand.claim(5)
    clock.advance(1000)
    storage.enqueue_jobs(jobs("bcde"))
    assert len(hand.claim(10)) == 2


def test_a_sleeper_is_told_when_the_bucket_has_a_token(storage, hand, clock, limit):
    limit(rate=(1, 8.0))
    storage.enqueue_jobs(jobs("ab"))
    hand.claim(1)
    assert storage.settle_and_claim(hand.n, (), 1, ("*",)).next_due == pytest.approx(clock.at + 8)


def test_a_start_that_was_given_back_costs_no_token(storage, hire, clock, limit):
    limit(rate=(2, 100.0))
    storage.enqueue_jobs(jobs("abc"))
    hand = hire()
    claims = hand.claim(5)
    storage.release_claims(hand.n, claims)
    dead = hire()
    assert ids(dead.claim(5)) == ["a", "b"]
    dead.die()
    storage.reap(dead.dead(), 3)
    assert ids(hire().claim(5)) == ["a", "b"]


def test_a_start_that_has_begun_costs_its_token_however_it_ends(storage, hire, limit):
    limit(rate=(1, 100.0))
    storage.enqueue_jobs(jobs("ab"))
    hand = hire()
    hand.begin(hand.claim_one())
    hand.die()
    storage.reap(hand.dead(), 3)
    assert hire().claim(5) == []
    assert {look(storage, each).reason for each in "ab"} == {"rate shop.order"}


def test_those_who_wait_for_a_token_may_be_canceled(storage, hand, clock, limit):
    limit(rate=(1, 10.0))
    storage.enqueue_jobs(jobs("abc"))
    hand.claim(5)
    storage.cancel("b")
    clock.advance(10)
    assert ids(hand.claim(5)) == ["c"]


def test_a_rate_that_was_taken_away_lets_them_in_with_the_next_start(storage, hand, limit):
    limit(rate=(1, 1000.0))
    storage.enqueue_jobs(jobs("abc"))
    hand.claim(5)
    storage.limits = {}
    storage.unblock_tasks([TASK])
    assert ids(hand.claim(5)) == ["b", "c"]


def test_both_limits_hold(storage, hand, clock, limit):
    limit(2, rate=(3, 30.0))
    storage.enqueue_jobs(jobs("abcde"))
    a, b = hand.claim(5)
    hand.settle(a)
    hand.settle(b)
    assert ids(hand.claim(5)) == ["c"]
    assert {look(storage, each).reason for each in "de"} == {"rate shop.order"}
    clock.advance(10)
    assert ids(hand.claim(5)) == ["d"]
    clock.advance(10)
    assert hand.claim(5) == []
    assert look(storage, "e").reason == "limit shop.order"


def test_flushing_leaves_no_gate_shut(storage, hand, clock, limit):
    limit(1, rate=(1, 10.0))
    storage.enqueue_jobs(jobs("abc"))
    (a,) = hand.claim(5)
    storage.flush_queue()
    storage.flush_schedule()
    hand.settle(a)
    clock.advance(10)
    storage.enqueue_jobs(jobs("d"))
    assert ids(hand.claim(5)) == ["d"]


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


def test_two_processes_share_the_places(huey, settings, storage):
    other = duey.build(settings)
    for each in (huey, other):
        each.task(name="t", limit=1)(lambda: None)
    huey.enqueue(huey._registry.string_to_task(f"{__name__}.t")())
    huey.enqueue(huey._registry.string_to_task(f"{__name__}.t")())
    assert huey.dequeue() is not None
    assert other.dequeue() is None
    other.storage.close()
