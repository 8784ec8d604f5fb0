"""What is claimed next: priority, age, queue, and the time that it is due."""

from __future__ import annotations

from tests.contracts.rig import job, jobs, kinds, look, state


def ids(claims):
    return "".join(claim.job.id for claim in claims)


def test_a_higher_priority_comes_first_and_age_decides_within_it(storage, hand):
    storage.enqueue_jobs([job("a"), job("b", priority=5), job("c", priority=-1)])
    storage.enqueue_jobs([job("d", priority=5), job("e"), job("f", priority=0.5)])
    claims = hand.claim(6)
    assert ids(claims) == "bdfaec"
    storage.enqueue_jobs(jobs("g"))
    hand.settle(claims[3], "retrying")
    assert ids(hand.claim(2)) == "ag", "a retried attempt keeps its place by age"


def test_the_order_is_the_same_in_claims_of_any_size(storage, hand):
    for want in (1, 2, 5):
        storage.enqueue_jobs([job(f"{each}{want}", priority=i % 3) for i, each in enumerate("abcdefghij")])
        taken = ""
        while claims := hand.claim(want):
            assert len(claims) <= want
            taken += ids(claims)
        assert taken.replace(str(want), "") == "cfi" + "beh" + "adgj", want


def test_a_scheduled_job_is_claimed_when_it_is_due_and_never_before(storage, clock, hand):
    storage.enqueue_jobs([job("a", eta=clock.at + 60), job("b", eta=clock.at - 60), job("c", eta=clock.at)])
    assert ids(hand.claim(5)) == "bc"
    clock.advance(59.999)
    assert (hand.claim(), state(storage, "a")) == ([], "scheduled")
    clock.advance(0.001)
    assert hand.claim_one().job.id == "a"
    assert kinds(storage, "a") == ["enqueued"], "becoming due is no event"
    assert look(storage, "a").job.eta == clock.at


def test_due_jobs_come_by_their_time_and_by_priority_among_those_that_are_due_together(storage, clock, hand):
    storage.enqueue_jobs([job("c", eta=clock.at + 30), job("a", eta=clock.at + 10), job("b", eta=clock.at + 20)])
    storage.enqueue_jobs([job("d", eta=clock.at + 40), job("e", eta=clock.at + 50, priority=5)])
    seen = ""
    for _ in range(3):
        clock.advance(10)
        seen += ids(hand.claim(3))
    clock.advance(30)
    assert seen + ids(hand.claim(2)) == "abced"


def test_many_jobs_that_are_due_at_once_all_come(storage, clock, hand):
    storage.enqueue_jobs([job(f"j{i}", eta=clock.at + 5) for i in range(1500)])
    clock.advance(5)
    seen: list[str] = []
    while claims := hand.claim(500):
        seen += [claim.job.id for claim in claims]
    assert len(seen) == len(set(seen)) == 1500


def test_a_turn_tells_whether_more_waits_and_when_the_next_job_falls_due(storage, clock, hand):
    assert storage.settle_and_claim(hand.n, (), 1, ("*",)).next_due is None
    storage.enqueue_jobs([*jobs("abc"), job("d", eta=clock.at + 60), job("e", eta=clock.at + 30)])
    assert storage.settle_and_claim(hand.n, (), 2, ("*",)).more
    assert not storage.settle_and_claim(hand.n, (), 2, ("*",)).more
    assert storage.settle_and_claim(hand.n, (), 2, ("*",)).next_due == clock.at + 30
    storage.enqueue_jobs([*(job(f"s{n}", queue="slow") for n in range(5)), job("x", queue="x")])
    assert not storage.settle_and_claim(hand.n, (), 1, ("*", "!slow")).more, "where only others are served"
    assert storage.settle_and_claim(hand.n, (), 1, ("*",)).more
