"""Calls, where Huey's own tests (test_huey_suite.py) do not look, or Duey does more."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from huey.exceptions import CancelExecution, ConfigurationError, ResultTimeout, RetryTask, TaskException

from duey import errors
from tests.contracts.rig import SOON_S, kinds, look, run_all, run_next, state
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])
NOW = datetime.datetime.now


@pytest.fixture
def add(huey):
    return huey.task(name="add")(lambda a=0, b=0: a + b)


@pytest.fixture
def flaky(huey):
    """A factory of tasks that raise the next of these errors each time, and answer with their attempts after that."""
    made = []

    def make(*raised, **options):
        left, tries = list(raised), []

        def flaky():
            tries.append(1)
            if left:
                raise left.pop(0)
            return len(tries)

        made.append(huey.task(name=f"flaky{len(made)}", **options)(flaky))
        return made[-1]

    return make


def ahead(seconds: float, zone=datetime.timezone.utc) -> datetime.datetime:
    return NOW(zone) + timedelta(seconds=seconds)


# results


def test_a_result_is_stored_also_none_and_a_periodic_task_s_and_not_consumed_by_reading_it(huey, add):
    """Unlike Huey's: results expire instead."""
    result = add(1, b=2)
    assert (len(huey), result()) == (1, None)
    assert (run_next(huey), len(huey)) == (3, 0)
    for _ in range(2):
        result.reset()
        assert result.get() == result() == result.get(preserve=True) == 3
    assert huey.result_count() == 1
    nothing = huey.task(name="nothing")(lambda: None)()
    nightly = huey.periodic_task(lambda now: True, name="nightly")(lambda: "done")()
    assert not nothing.is_ready()
    run_all(huey)
    assert nothing.is_ready() and nothing.get(blocking=True, timeout=SOON_S) is None
    assert nightly.get() == "done"


def test_an_error_is_raised_where_the_result_is_read(huey, flaky):
    result = flaky(ValueError("no good"))()
    run_all(huey)
    with pytest.raises(TaskException, match="no good") as caught:
        result.get()
    metadata = caught.value.metadata
    assert (metadata["error"], metadata["retries"], metadata["task_id"]) == ("ValueError('no good')", 0, result.id)
    assert "ValueError: no good" in metadata["traceback"] and "run_body" not in metadata["traceback"]


def test_a_wait_that_is_too_short_may_revoke(huey, add):
    result = add(1, 2)
    with pytest.raises(ResultTimeout):
        result.get(blocking=True, timeout=0.05, revoke_on_timeout=True)
    assert result.is_revoked() and run_all(huey) == [None]
    assert state(huey.storage, result.id) == "canceled"


# calls


def test_what_cannot_be_carried_or_run_is_refused_at_once(huey, add):
    with pytest.raises(errors.UnserializableError, match="args"):
        add(object())
    with pytest.raises(ConfigurationError, match="asyncio"):

        @huey.task()
        async def later():
            pass

    def work():
        """Nothing."""

    work.__module__ = "__main__"
    task = huey.task()(work)
    with pytest.raises(errors.ScriptTask, match=r"'__main__\.work' is defined in the script .*: put it into a module"):
        task()
    assert len(huey) == 0


def test_a_prepared_call_keeps_its_options_and_an_id_is_accepted_once(huey, add):
    """Unlike Huey's, which would run both."""
    task = add.s(1, 2, id="mine", priority=3, retries=4, retry_delay=5, timeout=6)
    assert huey.enqueue(task).id == huey.enqueue(add.s(1, 2, id="mine")).id == "mine"
    found = look(huey.storage, "mine")
    assert (len(huey), found.job.priority, found.job.retries) == (1, 3.0, 4)
    claimed = huey.dequeue()
    assert (claimed.claim.job.retry_delay_s, claimed.claim.job.timeout_s) == (5.0, 6.0)
    assert huey.execute(claimed) == 3
    with pytest.raises(errors.DuplicateJob):
        huey.enqueue(add.s(1, 2, id="mine"))


def test_what_waits_can_be_looked_at_and_flushed(huey, add):
    add(1)
    add.schedule((2,), delay=60)
    assert [[task.args for task in waiting] for waiting in (huey.pending(), huey.scheduled())] == [[(1,)], [(2,)]]
    assert (huey.pending_count(), huey.scheduled_count(), len(huey)) == (1, 1, 1)
    huey.flush()
    assert (huey.pending_count(), huey.scheduled_count()) == (0, 0)


def test_what_a_body_enqueues_is_durable_at_once_names_its_parent_and_stays_when_the_body_fails(huey, add, elsewhere):
    @huey.task(name="outer")
    def outer():
        children.append(add(1, 2).id)
        states.append(state(elsewhere, children[0]))
        raise ValueError

    children, states = [], []
    parent = outer()
    assert run_all(huey) == [None, 3]
    assert (states, look(huey.storage, children[0]).job.parent) == (["queued"], parent.id)


# time: all instants are UTC, whatever zone the host is in


@pytest.fixture
def zagreb() -> Iterator[None]:
    """A host in another time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Zagreb"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


def test_times_may_be_given_in_each_of_huey_s_ways(huey, add, zagreb):
    """In a zone east of UTC Huey stores an eta through local time: up to hours wrong."""
    tokyo = datetime.timezone(timedelta(hours=9))
    calls = {
        "seconds": lambda: huey.enqueue(add.s(delay=60)),
        "timedelta": lambda: huey.enqueue(add.s(delay=timedelta(seconds=60.0))),
        "zone": lambda: add.schedule(eta=ahead(60, tokyo)),
        "naive, which is local": lambda: add.schedule(eta=ahead(60, None)),
        "first": lambda: add.schedule(60),
        "first, a timedelta": lambda: add.schedule(timedelta(seconds=60)),
        "first, an instant": lambda: add.schedule(ahead(60, None)),
    }
    for name, call in calls.items():
        assert look(huey.storage, call().id).job.eta == pytest.approx(time.time() + 60, abs=5), name
    with pytest.raises(ValueError, match="eta"):
        add.schedule((1,))
    for expires in (60, timedelta(seconds=60), ahead(60)):
        found = look(huey.storage, huey.enqueue(add.s(expires=expires)).id)
        assert found.job.expires_at == pytest.approx(time.time() + 60, abs=5), expires


def test_a_delayed_call_runs_when_its_delay_is_over(huey, add, later, zagreb):
    results = [add.schedule((n,), delay=60, priority=n) for n in (1, 2)]
    for n, late in ((3, {"delay": -1}), (4, {"eta": ahead(-60)})):
        add.schedule((n,), **late)
    assert run_all(huey) == [3, 4], "what is late runs at once"
    assert (state(huey.storage, results[0].id), len(huey), huey.scheduled_count()) == ("scheduled", 0, 2)
    later(59)
    assert run_all(huey) == []
    later(2)
    assert (run_all(huey), results[0].get()) == ([2, 1], 1), "with their priorities"


def test_a_job_that_comes_too_late_expires(huey, add, later, flaky):
    """Unlike with Huey, a relative expiry begins once, and not anew with each retry."""
    result = huey.enqueue(add.s(1, expires=60))
    huey.enqueue(add.s(2, expires=70))
    scheduled = add.schedule((1,), delay=60, expires=30)
    failing = flaky(*[ValueError()] * 9, expires=62, retries=5, retry_delay=31)()
    _, second = huey.enqueue(add.s(1, delay=100).then(add.s(expires=50)))
    assert [task.on_complete.expires_resolved for task in huey.scheduled() if task.on_complete] == [None]
    assert run_next(huey) == 1
    huey.enqueue(add.s(1, expires=60, id="late"))
    later(61)
    run_all(huey)
    assert [state(huey.storage, each) for each in (result.id, scheduled.id, "late")] == ["done", "expired", "expired"]
    assert kinds(huey.storage, "late") == ["enqueued", "expired"] and huey.result("late") is None
    later(40)
    run_all(huey)
    assert state(huey.storage, failing.id) == "expired"
    assert look(huey.storage, second.id).job.expires_at == pytest.approx(time.time() + 50, abs=5), (
        "from its own enqueue on"
    )


def test_rescheduling_enqueues_the_call_anew_and_revokes_the_old_one(huey, add, later):
    first = add.schedule((1,), delay=10, priority=1, expires=30)
    second = first.reschedule(delay=60, priority=9, expires=90)
    found = look(huey.storage, second.id)
    assert (found.job.priority, found.job.expires_at) == (9.0, pytest.approx(time.time() + 90, abs=5))
    later(11)
    assert (run_all(huey), state(huey.storage, first.id)) == ([None], "canceled")
    later(50)
    assert (run_all(huey), second.get()) == ([1], 1)
    at_once = add.schedule((2,), delay=10).reschedule()
    assert (run_all(huey)[-1], at_once.get()) == (2, 2)


def test_rescheduling_keeps_the_pipeline_or_not(huey, add, later):
    for delay, preserve, values in ((10, True, [None, 1, 2]), (100, False, [None, 1])):
        huey.enqueue(add.s(1, delay=delay).then(add, 1))
        huey._result_handle(huey.scheduled()[0]).reschedule(preserve_pipeline=preserve)
        later(delay)
        assert sorted(run_all(huey), key=str) == sorted(values, key=str), f"preserve_pipeline={preserve}"


# retries


def test_a_failed_attempt_is_retried_and_leaves_no_result(huey, flaky):
    """Unlike Huey's default, which would raise the error of the first attempt while the second may still succeed."""
    result = flaky(ValueError(), ValueError(), retries=2)()
    for value in (None, None, 3):
        assert not result.is_ready() and run_next(huey) == value
    assert (result.get(), look(huey.storage, result.id).job.attempt) == (3, 3)
    assert kinds(huey.storage) == ["enqueued", "retrying", "retrying", "done"]
    result = flaky(*[ValueError("no good")] * 9, retries=2)()
    assert run_all(huey) == [None, None, None]
    with pytest.raises(TaskException, match="no good"):
        result.get()
    assert (state(huey.storage, result.id), look(huey.storage, result.id).job.attempt) == ("failed", 3)


def test_a_retry_waits_for_its_delay_which_the_back_off_makes_grow(huey, flaky, later):
    result = flaky(*[ValueError()] * 3, retries=3, retry_delay=10, retry_backoff=3)()
    for delay in (10, 30, 90):
        run_next(huey)
        assert (state(huey.storage, result.id), huey.scheduled_count()) == ("retrying", 1)
        later(delay - 1)
        assert huey.dequeue() is None
        later(2)
    assert run_next(huey) == result.get() == 4


def test_retry_task_runs_again_without_spending_a_retry_when_it_says(huey, flaky, later):
    result = flaky(RetryTask("once more"), RetryTask(delay=60), RetryTask(eta=ahead(200)))()
    assert run_all(huey) == [None, None]
    later(59)
    assert run_all(huey) == []
    later(2)
    assert run_all(huey) == [None]
    assert look(huey.storage, result.id).job.eta == pytest.approx(time.time() + 200, abs=5)
    later(200)
    assert (run_all(huey), result.get(), look(huey.storage, result.id).job.retries) == ([4], 4, 0)


def test_cancel_execution_ends_the_job_as_canceled_unless_it_is_to_be_retried(huey, flaky):
    for retry, retries, attempts in ((None, 1, 2), (None, 0, 1), (False, 3, 1), (True, 1, 2), (True, 0, 2)):
        result = flaky(CancelExecution("enough", retry=retry), retries=retries)()
        run_all(huey)
        assert look(huey.storage, result.id).job.attempt == attempts, (retry, retries)
        assert state(huey.storage, result.id) == ("done" if attempts == 2 else "canceled")
    result = flaky(CancelExecution("enough"))()
    run_all(huey)
    with pytest.raises(TaskException, match="enough"):
        result.get()


# revoking

REVOKE = {
    "task": lambda huey, task: huey.revoke(task),
    "id": lambda huey, task: huey.revoke_by_id(task.id),
    "handle": lambda huey, task: huey._result_handle(task).revoke(),
}
RESTORE = {
    "task": lambda huey, task: huey.restore(task),
    "id": lambda huey, task: huey.restore_by_id(task.id),
    "handle": lambda huey, task: huey._result_handle(task).restore(),
}


def test_a_revoked_call_is_not_run_and_a_restored_one_is(huey, add, later):
    """Unlike Huey's, which would be kept for ever, a revocation ends with its job."""
    for way, revoke in REVOKE.items():
        task, before = add.s(1), add.s(1)
        revoke(huey, before)
        result, _ = huey.enqueue(task), huey.enqueue(before)
        revoke(huey, task)
        assert result.is_revoked() and huey.is_revoked(task) and huey.is_revoked(task.id), way
        assert (run_all(huey), state(huey.storage, task.id)) == ([None, None], "canceled"), way
        assert kinds(huey.storage, task.id) == ["enqueued", "canceled"]
        assert not huey.is_revoked(task.id)
        restored = add.s(1)
        huey.enqueue(restored)
        revoke(huey, restored)
        assert RESTORE[way](huey, restored) and not RESTORE[way](huey, restored)
        assert not huey.is_revoked(restored) and run_all(huey) == [1], way
    scheduled = add.schedule((1,), delay=60)
    scheduled.revoke()
    first = add.s(1)
    huey.enqueue(first.then(add, 1))
    huey.revoke(first)
    assert run_all(huey) == [None], "the pipeline stops at its first step"
    later(61)
    assert (run_all(huey), state(huey.storage, scheduled.id)) == ([None], "canceled")


def test_a_call_or_a_task_may_be_revoked_once_or_until_a_time(huey, add, later):
    add.revoke(revoke_once=True)
    add(1), add(2)
    assert run_all(huey) == [None, 2] and not add.is_revoked()
    add.revoke(revoke_until=ahead(60))
    first, second = add.s(1), add.s(2, delay=100)
    for task in (first, second):
        huey.revoke(task, revoke_until=ahead(60))
        huey.enqueue(task)
    assert huey.is_revoked(second) and run_all(huey) == [None]
    later(101)
    assert not huey.is_revoked(second) and not add.is_revoked()
    assert run_all(huey) == [2]
