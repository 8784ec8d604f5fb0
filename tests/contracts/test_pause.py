"""Pauses and other reasons to set jobs aside: blocked when they are met, visibly, and back in their order."""

from __future__ import annotations

import pytest

from tests.contracts.rig import job, jobs, kinds, look, state

KINDS = [("queue", "default"), ("task", "shop.order")]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_what_is_paused_is_not_claimed(storage, hand, kind, name):
    storage.pause(kind, name)
    storage.enqueue_jobs([job("a"), job("b", queue="other", task="shop.other")])
    assert [c.id for c in hand.claim(5)] == ["b"]
    found = look(storage, "a")
    assert (found.state, found.place, found.reason) == ("blocked", "blocked", f"{kind} {name}")
    assert kinds(storage, "a") == ["enqueued", "blocked"]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_resume_brings_back_what_was_blocked_in_its_order(storage, hand, kind, name):
    storage.pause(kind, name)
    storage.enqueue_jobs([job("a"), job("b"), job("c", priority=1)])
    hand.claim(5)
    storage.enqueue_jobs(jobs("d"))
    assert storage.resume(kind, name) == 3
    assert [c.id for c in hand.claim(5)] == ["c", "a", "b", "d"]
    assert kinds(storage, "a") == ["enqueued", "blocked", "unblocked"]


def test_a_pause_that_nothing_met_changes_nothing(storage, hand):
    storage.pause("queue", "default")
    storage.enqueue_jobs(jobs("a"))
    assert storage.resume("queue", "default") == 0
    assert hand.claim_one().id == "a"


def test_a_running_job_ends_although_its_queue_is_paused(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    storage.pause("queue", "default")
    hand.settle(claim)
    assert state(storage, "a") == "done"


def test_a_scheduled_job_of_a_paused_task_is_blocked_when_it_is_due(storage, clock, hand):
    storage.pause("task", "shop.order")
    storage.enqueue_jobs([job("a", eta=clock.at + 5)])
    hand.claim()
    assert state(storage, "a") == "scheduled"
    clock.advance(5)
    hand.claim()
    assert look(storage, "a").place == "blocked"


def test_a_job_that_two_pauses_hold_waits_for_both(storage, hand):
    storage.pause("queue", "default")
    storage.pause("task", "shop.order")
    storage.enqueue_jobs(jobs("a"))
    hand.claim()
    for kind, name in KINDS:
        assert hand.claim() == []
        storage.resume(kind, name)
    assert hand.claim_one().id == "a"


def test_pauses_are_listed_and_pausing_twice_is_pausing_once(storage):
    for _ in range(2):
        for kind, name in KINDS:
            storage.pause(kind, name)
    assert storage.pauses() == set(KINDS)
    storage.resume("queue", "default")
    storage.resume("queue", "default")
    assert storage.pauses() == {("task", "shop.order")}


def test_resuming_one_queue_leaves_the_others_paused(storage, hand):
    storage.pause("queue", "x")
    storage.pause("queue", "y")
    storage.enqueue_jobs([job("a", queue="x"), job("b", queue="y")])
    hand.claim(5)
    storage.resume("queue", "y")
    assert [c.id for c in hand.claim(5)] == ["b"]


def test_a_paused_queue_does_not_hide_what_waits_behind_it(storage, hand):
    storage.pause("task", "shop.held")
    storage.enqueue_jobs([job(f"h{i}", task="shop.held", priority=9) for i in range(30)])
    storage.enqueue_jobs(jobs("ab"))
    assert [c.id for c in hand.claim(2)] == ["a", "b"]
    assert storage.counts().blocked == 30


# jobs of tasks that nobody knows


def block_unknown(storage, hand, *found):
    storage.enqueue_jobs(found)
    for claim in hand.claim(len(found)):
        hand.settle(claim, "blocked", reason="unknown", started_at=None, result=None)


def test_a_job_of_an_unknown_task_comes_back_when_somebody_knows_it(storage, hand):
    block_unknown(storage, hand, job("a", task="shop.new"), job("b", task="shop.other"))
    assert storage.unblock_tasks(["shop.old"]) == 0
    assert storage.unblock_tasks(["shop.old", "shop.new"]) == 1
    assert [c.id for c in hand.claim(5)] == ["a"]
    assert kinds(storage, "a") == ["enqueued", "blocked", "unblocked"]


def test_what_a_pause_holds_does_not_come_back_because_its_task_is_known(storage, hand):
    storage.pause("task", "shop.order")
    storage.enqueue_jobs(jobs("a"))
    hand.claim()
    assert storage.unblock_tasks(["shop.order"]) == 0
    assert look(storage, "a").place == "blocked"


def test_a_resume_does_not_bring_back_what_is_blocked_for_another_reason(storage, hand):
    block_unknown(storage, hand, job("a"))
    storage.pause("task", "shop.order")
    assert storage.resume("task", "shop.order") == 0
    assert look(storage, "a").reason == "unknown shop.order"


def test_parking_and_unparking_again_are_events_of_their_own(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    for _ in range(2):
        storage.pause("queue", "default")
        hand.claim()
        storage.resume("queue", "default")
    events = storage.read_events(100)
    assert [e.kind for e in events] == ["enqueued", *["blocked", "unblocked"] * 2]
    assert len({(e.job_id, e.token, e.kind) for e in events}) == 5
