"""Pauses and other reasons to set jobs aside: blocked when they are met, visibly, and back in their order."""

from __future__ import annotations

from tests.contracts.rig import job, jobs, kinds, look, state

KINDS = [("queue", "default"), ("task", "shop.order")]


def ids(claims):
    return [claim.job.id for claim in claims]


def test_what_is_paused_is_not_claimed_and_a_resume_brings_it_back_in_its_order(storage, hand):
    for kind, name in KINDS:
        storage.pause(kind, name)
        a, b, c, d = (f"{kind} {each}" for each in "abcd")
        storage.enqueue_jobs([job(a), job(b), job(c, priority=1), job(kind, queue="other", task="shop.other")])
        assert ids(hand.claim(5)) == [kind]
        found = look(storage, a)
        assert (found.state, found.place, found.reason) == ("blocked", "blocked", f"{kind} {name}")
        assert kinds(storage, a) == ["enqueued", "blocked"]
        storage.enqueue_jobs([job(d)])
        assert storage.resume(kind, name) == 3
        assert ids(hand.claim(5)) == [c, a, b, d]
        assert kinds(storage, a) == ["enqueued", "blocked", "unblocked"]


def test_a_pause_meets_neither_what_runs_nor_what_is_not_due(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    storage.pause("task", "shop.order")
    storage.enqueue_jobs([job("b"), job("c", eta=clock.at + 5)])
    hand.settle(claim)
    assert (state(storage, "a"), storage.resume("task", "shop.order")) == ("done", 0), "no claim has met it"
    assert hand.claim_one().job.id == "b"
    storage.pause("task", "shop.order")
    assert (hand.claim(), state(storage, "c")) == ([], "scheduled")
    clock.advance(5)
    assert (hand.claim(), look(storage, "c").place) == ([], "blocked")


def test_a_job_that_two_pauses_hold_waits_for_both(storage, hand):
    for _ in range(2):
        for kind, name in KINDS:
            storage.pause(kind, name)
    assert storage.pauses() == set(KINDS), "pausing twice is pausing once"
    storage.enqueue_jobs(jobs("a"))
    hand.claim()
    for n, (kind, name) in enumerate(KINDS, 1):
        assert hand.claim() == []
        storage.resume(kind, name)
        storage.resume(kind, name)
        assert storage.pauses() == set(KINDS[n:])
    assert hand.claim_one().job.id == "a"


def test_a_pause_hides_nothing_that_waits_behind_it_and_no_other_queue(storage, hand):
    storage.pause("task", "shop.held")
    storage.enqueue_jobs([job(f"h{i}", task="shop.held", priority=9) for i in range(30)] + jobs("ab"))
    assert ids(hand.claim(2)) == ["a", "b"]
    assert storage.counts().blocked == 30
    storage.pause("queue", "x")
    storage.pause("queue", "y")
    storage.enqueue_jobs([job("x", queue="x"), job("y", queue="y")])
    hand.claim(5)
    storage.resume("queue", "y")
    assert ids(hand.claim(5)) == ["y"]


def test_many_paused_jobs_are_set_aside_and_brought_back_in_steps(storage, hand):
    storage.enqueue_jobs([job(f"j{n}") for n in range(1500)] + [job("free", task="shop.other")])
    storage.pause("task", "shop.order")
    claims = []
    while not claims:
        claims = hand.claim(3)
    assert ids(claims) == ["free"]
    assert (storage.counts().blocked, storage.queue_infos()[0].waiting) == (1500, 1500)
    assert storage.resume("task", "shop.order") == 1500
    assert ids(hand.claim(3)) == ["j0", "j1", "j2"]


def test_a_job_of_an_unknown_task_comes_back_when_somebody_knows_it_and_by_nothing_else(storage, hand):
    storage.enqueue_jobs([job("a", task="shop.new"), job("b", task="shop.other"), job("c")])
    for claim in hand.claim(3):
        hand.settle(claim, "blocked", reason="unknown", started_at=None, result=None)
    storage.pause("task", "shop.order")
    assert storage.resume("task", "shop.order") == 0
    assert look(storage, "c").reason == "unknown shop.order"
    assert storage.unblock_tasks(["shop.old"]) == 0
    assert storage.unblock_tasks(["shop.old", "shop.new"]) == 1
    assert ids(hand.claim(5)) == ["a"]
    assert kinds(storage, "a") == ["enqueued", "blocked", "unblocked"]
    storage.pause("task", "shop.paused")
    storage.enqueue_jobs([job("d", task="shop.paused")])
    hand.claim()
    assert storage.unblock_tasks(["shop.paused"]) == 0 and look(storage, "d").place == "blocked"
