"""What is claimed next: priority, age, queue, and the time that it is due."""

from __future__ import annotations

import pytest

from tests.contracts.rig import job, jobs, kinds, look, state


def ids(claims):
    return "".join(claim.id for claim in claims)


def test_the_oldest_job_comes_first(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    storage.enqueue_jobs(jobs("c"))
    assert ids(hand.claim(3)) == "abc"


def test_a_higher_priority_comes_first_and_age_decides_within_it(storage, hand):
    storage.enqueue_jobs([job("a"), job("b", priority=5), job("c", priority=-1)])
    storage.enqueue_jobs([job("d", priority=5), job("e"), job("f", priority=0.5)])
    assert ids(hand.claim(6)) == "bdfaec"


@pytest.mark.parametrize("want", [1, 2, 5])
def test_the_order_is_the_same_in_claims_of_any_size(storage, hand, want):
    storage.enqueue_jobs([job(each, priority=i % 3) for i, each in enumerate("abcdefghij")])
    taken = ""
    while claims := hand.claim(want):
        assert len(claims) <= want
        taken += ids(claims)
    assert taken == "cfi" + "beh" + "adgj"


def test_a_retried_attempt_keeps_its_place_by_age(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    storage.enqueue_jobs(jobs("b"))
    hand.settle(claim, "retrying")
    assert ids(hand.claim(2)) == "ab"


# when it is due


def test_a_scheduled_job_is_never_claimed_before_it_is_due(storage, clock, hand):
    storage.enqueue_jobs([job("a", eta=clock.at + 60)])
    clock.advance(59.999)
    assert hand.claim() == []
    assert state(storage, "a") == "scheduled"


def test_a_scheduled_job_is_claimed_when_it_is_due(storage, clock, hand):
    storage.enqueue_jobs([job("a", eta=clock.at + 60)])
    clock.advance(60)
    assert hand.claim_one().id == "a"


def test_a_job_that_is_due_already_waits_for_nothing(storage, clock, hand):
    storage.enqueue_jobs([job("a", eta=clock.at - 60), job("b", eta=clock.at)])
    assert ids(hand.claim(2)) == "ab"


def test_due_jobs_come_one_after_the_other_by_their_time(storage, clock, hand):
    storage.enqueue_jobs(
        [job("late", eta=clock.at + 30), job("early", eta=clock.at + 10), job("mid", eta=clock.at + 20)]
    )
    seen = []
    for _ in range(3):
        clock.advance(10)
        seen += [claim.id for claim in hand.claim(3)]
    assert seen == ["early", "mid", "late"]


def test_priority_counts_among_jobs_that_are_due_together(storage, clock, hand):
    storage.enqueue_jobs([job("a", eta=clock.at + 10), job("b", eta=clock.at + 20, priority=5)])
    clock.advance(30)
    assert ids(hand.claim(2)) == "ba"


def test_many_jobs_that_are_due_at_once_all_come(storage, clock, hand):
    storage.enqueue_jobs([job(f"j{i}", eta=clock.at + 5) for i in range(1500)])
    clock.advance(5)
    seen: list[str] = []
    while claims := hand.claim(500):
        seen += [claim.id for claim in claims]
    assert len(seen) == len(set(seen)) == 1500


def test_a_turn_tells_when_the_next_job_falls_due(storage, clock, hand):
    assert storage.settle_and_claim(hand.n, (), 1, ("*",)).next_due is None
    storage.enqueue_jobs([job("a", eta=clock.at + 60), job("b", eta=clock.at + 30)])
    assert storage.settle_and_claim(hand.n, (), 1, ("*",)).next_due == clock.at + 30


def test_a_turn_tells_whether_more_waits(storage, hand):
    storage.enqueue_jobs(jobs("abc"))
    assert storage.settle_and_claim(hand.n, (), 2, ("*",)).more
    assert not storage.settle_and_claim(hand.n, (), 2, ("*",)).more


def test_becoming_due_is_no_event(storage, clock, hand):
    storage.enqueue_jobs([job("a", eta=clock.at + 60)])
    clock.advance(60)
    hand.claim_one()
    assert kinds(storage) == ["enqueued"]
    assert look(storage, "a").eta == clock.at
