"""Locks and rate limits as Huey documents them; but a held lock is waited for."""

from __future__ import annotations

import os
import threading
import time

import pytest
from huey.exceptions import TaskException, TaskLockedException

from tests.contracts.rig import SOON_S, crew, look, run_all, run_next, state


def test_a_lock_is_held_by_one_at_a_time(huey):
    with huey.lock_task("db"):
        assert huey.is_locked("db")
        assert not huey.is_locked("other")
        with pytest.raises(TaskLockedException, match="db"), huey.lock_task("db"):
            pytest.fail("two held the lock")
    assert not huey.is_locked("db")


def test_a_task_whose_lock_is_held_waits_without_spending_a_retry(huey, later):
    """Unlike Huey's, which would fail it, or spend a retry."""

    @huey.task()
    @huey.lock_task("db")
    def backup():
        return "done"

    lock = huey.lock_task("db")
    lock.acquire()
    result = backup()
    assert look(huey.storage, result.id).reason is None
    for _ in range(3):
        assert run_next(huey) is None
        found = look(huey.storage, result.id)
        assert (found.place, found.reason) == ("scheduled", "lock db")
        assert [job.reason for job in huey.storage.list_jobs(found.state, None, None, 9, None)] == ["lock db"]
        later(10)
    lock.release()
    assert (run_next(huey), result.get()) == ("done", "done")
    assert look(huey.storage, result.id).reason is None
    told = [event for event in huey.storage.read_events(99) if event.kind == "retrying"]
    assert [(event.detail["reason"], event.detail.get("type")) for event in told] == [("lock db", None)] * 3
    assert (look(huey.storage, result.id).attempt, huey.is_locked("db")) == (1, False)


def test_a_job_says_that_it_waits_for_a_lock_only_while_it_does(huey, later):
    """Not while it waits for a retry, nor once it is queued; and a secret in the lock's name is not told."""

    @huey.task(retries=1, retry_delay=60)
    def visit(password):
        with huey.lock_task(f"of {password}"):
            raise ValueError

    def stands(job):
        found = look(huey.storage, job.id)
        return found.place, found.reason

    first, second = visit("hunter2hunter2"), visit("hunter2hunter2")
    with huey.lock_task("of hunter2hunter2"):
        for job in (first, second):
            run_next(huey)
            assert stands(job) == ("scheduled", "lock of [redacted]")
    later(10)
    run_next(huey)
    assert {stands(first), stands(second)} == {("scheduled", None), ("ready", None)}


def test_a_lock_may_be_taken_inside_a_body(huey, later):
    @huey.task()
    def backup():
        with huey.lock_task("db"):
            return huey.is_locked("db")

    with huey.lock_task("db"):
        backup()
        assert run_all(huey) == [None]
    later(10)
    assert run_all(huey) == [True]


def test_a_lock_stays_held_when_a_forked_process_leaves_it(huey):
    @huey.task()
    def forking():
        with huey.lock_task("db"):
            if pid := os.fork():
                os.waitpid(pid, 0)
                return huey.is_locked("db")
        os._exit(0)  # the forked process has left the lock

    forking()
    assert (run_next(huey), huey.is_locked("db")) == (True, False)


def test_a_lock_with_a_time_to_live_frees_itself(huey, later):
    """Unlike Huey's on SQLite, which has no such locks."""
    huey.lock_task("db", ttl=60).acquire()
    later(59)
    assert huey.is_locked("db")
    later(2)
    assert not huey.is_locked("db")
    with huey.lock_task("db"):
        pass


def test_a_lock_that_expired_is_not_taken_from_who_holds_it_now(huey, later):
    with huey.lock_task("db", ttl=60):
        later(61)
        huey.lock_task("db", ttl=60).acquire()
    assert huey.is_locked("db")


def test_threads_that_contend_for_a_lock_never_overlap_and_all_finish(huey):
    inside, most = [0], [0]
    guard = threading.Lock()

    @huey.task()
    @huey.lock_task("db")
    def critical(n):
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        with guard:
            inside[0] -= 1
        return n

    results = critical.map(range(8))
    with crew(huey, threads=3):
        assert results.get(blocking=True, timeout=3 * SOON_S) == list(range(8))
    assert most == [1]


# rate limits


def test_a_rate_limited_task_runs_later_without_spending_a_retry(huey, later):
    @huey.task()
    @huey.rate_limit("api", 1, per=3600)
    def call(n):
        return n

    first, second = call(1), call(2)
    assert run_all(huey) == [1, None]
    assert (state(huey.storage, first.id), state(huey.storage, second.id)) == ("done", "retrying")
    huey.rate_limit("api", 1, per=3600).reset()
    later(3601)
    assert (run_all(huey), second.get()) == ([2], 2)


def test_a_rate_limited_task_may_give_up(huey):
    @huey.task()
    @huey.rate_limit("api", 1, per=3600, retry=False)
    def call(n):
        return n

    call(1)
    second = call(2)
    run_all(huey)
    with pytest.raises(TaskException, match="RateLimitExceeded"):
        second.get()


def test_a_rate_limited_task_waits_for_its_own_delay_when_it_has_one(huey, later):
    @huey.task(retry_delay=60)
    @huey.rate_limit("api", 1, per=3600)
    def call(n):
        return n

    call(1)
    second = call(2)
    run_all(huey)
    assert look(huey.storage, second.id).eta == pytest.approx(time.time() + 60, abs=5)
