"""Waiting for a job's end: without polling, so that the answer comes as soon as there is one."""

from __future__ import annotations

import threading
import time

import pytest

from tests.contracts.rig import SOON_S, jobs

LONG_S = 60.0


def waits(storage, job_id, timeout_s=LONG_S):
    """Wait in a thread of its own; `.answer` and `.took_s` once it has ended."""

    def wait() -> None:
        began = time.monotonic()
        thread.answer = storage.wait_ended(job_id, timeout_s)
        thread.took_s = time.monotonic() - began

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_job_that_has_ended_is_not_waited_for(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work()
    assert storage.wait_ended("a", LONG_S)


def test_a_wait_gives_up_after_its_time(storage):
    storage.enqueue_jobs(jobs("a"))
    began = time.monotonic()
    assert not storage.wait_ended("a", 0.1)
    assert 0.1 <= time.monotonic() - began < SOON_S
    assert not storage.wait_ended("a", 0.0)


@pytest.mark.parametrize("outcome", ["done", "failed", "canceled", "expired"])
def test_a_wait_ends_with_the_job(storage, elsewhere, hand, outcome):
    storage.enqueue_jobs(jobs("a"))
    waiting = waits(elsewhere, "a")
    claim = hand.claim_one()
    hand.settle(claim, outcome, result=None)
    waiting.join(SOON_S)
    assert waiting.answer
    assert waiting.took_s < SOON_S


def test_a_wait_ends_when_the_job_is_canceled_by_hand(storage, elsewhere):
    storage.enqueue_jobs(jobs("a"))
    waiting = waits(elsewhere, "a")
    storage.cancel("a")
    waiting.join(SOON_S)
    assert waiting.answer


def test_a_wait_ends_when_the_job_fails_with_its_worker(storage, elsewhere, hire):
    storage.enqueue_jobs(jobs("a"))
    waiting = waits(elsewhere, "a")
    hand = hire()
    hand.begin(hand.claim_one())
    hand.die()
    storage.reap(hand.dead(), 1)
    waiting.join(SOON_S)
    assert waiting.answer


def test_a_wait_outlasts_an_attempt_that_will_be_retried(storage, elsewhere, hand):
    storage.enqueue_jobs(jobs("a"))
    waiting = waits(elsewhere, "a")
    hand.work("retrying")
    assert not storage.wait_ended("a", 0.05)
    hand.work()
    waiting.join(SOON_S)
    assert waiting.answer


def test_many_may_wait_for_the_same_and_for_other_jobs(storage, elsewhere, hand):
    storage.enqueue_jobs(jobs("ab"))
    waiting = [waits(elsewhere, "a"), waits(storage, "a")]
    other = waits(elsewhere, "b")
    hand.work()
    for each in waiting:
        each.join(SOON_S)
        assert each.answer
    assert other.is_alive()
    hand.work()
    other.join(SOON_S)
    assert other.answer


def test_huey_waits_for_results_the_same_way(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work()
    assert storage.wait_result("a", 5.0)
    assert storage.wait_result(b"a", 5.0)
    assert not storage.wait_result("b", 0.05)


def test_a_retried_job_has_not_ended(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed")
    storage.retry("a", None, 0)
    assert not storage.wait_ended("a", 0.05)


def test_a_deferred_job_wakes_a_sleeping_worker(storage, elsewhere, hire):
    hand = hire()
    hand.presence.asleep(True)
    assert hand.claim() == []  # it looks once more, and sleeps on
    began = time.monotonic()
    threading.Timer(0.05, lambda: elsewhere.enqueue_jobs(jobs("a"))).start()
    assert hand.presence.pipe.wait(LONG_S)
    assert time.monotonic() - began < SOON_S
    assert hand.claim_one().id == "a"
