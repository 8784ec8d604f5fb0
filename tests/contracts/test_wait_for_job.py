"""Waiting for a job's end: without polling, so that the answer comes as soon as there is one."""

from __future__ import annotations

import threading
import time

from tests.contracts.rig import SOON_S, job, jobs

LONG_S = 60.0


def waits(storage, job_id, timeout_s=LONG_S):
    """Wait in a thread of its own; `.answer` once it has ended."""
    thread = threading.Thread(
        target=lambda: setattr(thread, "answer", storage.wait_ended(job_id, timeout_s)), daemon=True
    )
    thread.answer = None
    thread.start()
    return thread


def heard(*waiting):
    for each in waiting:
        each.join(SOON_S)
    return all(each.answer for each in waiting)


def test_a_wait_ends_with_the_job_however_that_ends(storage, elsewhere, hire):
    hand = hire()

    def die(name):
        assert hire().die_running(most=1) == [name]

    ways = {each: lambda name: hand.work(name) for each in ("done", "failed", "canceled", "expired")}
    for name, end in {**ways, "by hand": storage.lifecycle.cancel, "with its worker": die}.items():
        storage.enqueue_jobs([job(name)])
        waiting = waits(elsewhere, name)
        end(name)
        assert heard(waiting), name
        assert storage.wait_ended(name, LONG_S), "what has ended is not waited for"
    assert storage.wait_result("done", LONG_S) and storage.wait_result(b"done", LONG_S), "Huey waits the same way"
    storage.retry("done", None, 0)
    assert not storage.wait_ended("done", 0.05) and not storage.wait_result("done", 0.05)


def test_a_wait_gives_up_after_its_time_and_outlasts_an_attempt_that_will_be_retried(storage, elsewhere, hand):
    storage.enqueue_jobs(jobs("a"))
    waiting = waits(elsewhere, "a")
    hand.work("retrying")
    began = time.monotonic()
    assert not storage.wait_ended("a", 0.05)
    assert time.monotonic() - began >= 0.05
    assert not storage.wait_ended("a", 0.0)
    hand.work()
    assert heard(waiting)


def test_many_may_wait_for_the_same_and_for_other_jobs(storage, elsewhere, hand):
    storage.enqueue_jobs(jobs("ab"))
    other = waits(elsewhere, "b")
    waiting = [waits(elsewhere, "a"), waits(storage, "a")]
    hand.work()
    assert heard(*waiting) and other.is_alive()
    hand.work()
    assert heard(other)


def test_an_enqueued_job_wakes_a_sleeping_worker(storage, elsewhere, hand):
    hand.presence.asleep(True)
    assert hand.claim() == []  # it looks once more, and sleeps on
    threading.Timer(0.05, lambda: elsewhere.enqueue_jobs(jobs("a"))).start()
    assert hand.presence.pipe.wait(LONG_S)
    assert hand.claim_one().job.id == "a"
