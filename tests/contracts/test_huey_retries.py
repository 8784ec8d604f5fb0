"""Retries, delays and back-off as Huey documents them; the attempts between are no results."""

from __future__ import annotations

import datetime

import pytest
from huey.exceptions import CancelExecution, RetryTask, TaskException

from tests.contracts.rig import kinds, look, run_all, run_next, state


@pytest.fixture
def flaky(huey):
    """A factory of tasks that fail a number of times before they answer."""

    def make(failures, **options):
        left = [failures]

        @huey.task(**options)
        def flaky(error=ValueError):
            if left[0]:
                left[0] -= 1
                raise error("no good")
            return "well"

        return flaky

    return make


def test_a_failed_attempt_is_retried_at_once_without_a_delay(huey, flaky):
    result = flaky(2, retries=2)()
    assert [run_next(huey) for _ in range(3)] == [None, None, "well"]
    assert (result.get(), look(huey.storage, result.id).attempt) == ("well", 3)
    assert kinds(huey.storage) == ["enqueued", "retrying", "retrying", "done"]


def test_an_attempt_that_will_be_retried_leaves_no_result(huey, flaky):
    """Unlike Huey's default, which would raise the error of the first attempt while the second may still succeed."""
    result = flaky(1, retries=1)()
    run_next(huey)
    assert not result.is_ready()
    run_next(huey)
    assert result.get() == "well"


def test_a_job_whose_retries_are_spent_has_failed(huey, flaky):
    result = flaky(9, retries=2)()
    assert run_all(huey) == [None, None, None]
    with pytest.raises(TaskException, match="no good"):
        result.get()
    assert (state(huey.storage, result.id), look(huey.storage, result.id).attempt) == ("failed", 3)


def test_a_retry_waits_for_its_delay(huey, flaky, later):
    result = flaky(1, retries=1, retry_delay=30)()
    run_next(huey)
    assert (state(huey.storage, result.id), huey.dequeue(), huey.scheduled_count()) == ("retrying", None, 1)
    later(29)
    assert huey.dequeue() is None
    later(2)
    assert run_next(huey) == "well"


def test_the_delay_grows_by_the_back_off(huey, flaky, later):
    result = flaky(3, retries=3, retry_delay=10, retry_backoff=3)()
    for delay in (10, 30, 90):
        run_next(huey)
        later(delay - 1)
        assert huey.dequeue() is None
        later(2)
    assert run_next(huey) == "well"
    assert result.get() == "well"


# RetryTask and Retry


def test_retry_task_runs_again_without_spending_a_retry(huey):
    tries = []

    @huey.task()
    def insist():
        tries.append(1)
        if len(tries) < 4:
            raise RetryTask("once more")
        return len(tries)

    result = insist()
    assert run_all(huey) == [None, None, None, 4]
    assert (result.get(), look(huey.storage, result.id).retries) == (4, 0)


def test_retry_task_may_name_its_delay(huey, later):
    tries = []

    @huey.task()
    def insist():
        tries.append(1)
        if len(tries) == 1:
            raise RetryTask(delay=60)

    insist()
    assert run_all(huey) == [None]
    later(59)
    assert run_all(huey) == []
    later(2)
    assert (run_all(huey), len(tries)) == ([None], 2)


def test_retry_task_may_name_its_time(huey, later):
    tries = []
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)

    @huey.task()
    def insist():
        tries.append(1)
        if len(tries) == 1:
            raise RetryTask(eta=at)

    result = insist()
    run_all(huey)
    assert look(huey.storage, result.id).eta == pytest.approx(at.timestamp(), abs=1e-3)
    later(61)
    assert (run_all(huey), len(tries)) == ([None], 2)


# CancelExecution and Discard


def test_cancel_execution_ends_the_job_as_canceled(huey):
    @huey.task()
    def stop():
        raise CancelExecution("enough")

    result = stop()
    run_all(huey)
    assert state(huey.storage, result.id) == "canceled"
    with pytest.raises(TaskException, match="enough"):
        result.get()


@pytest.mark.parametrize(
    ("retry", "retries", "attempts"), [(None, 1, 2), (None, 0, 1), (False, 3, 1), (True, 1, 2), (True, 0, 2)]
)
def test_cancel_execution_says_whether_to_retry(huey, retry, retries, attempts):
    tries = []

    @huey.task(retries=retries)
    def stop():
        tries.append(1)
        if len(tries) < 2:
            raise CancelExecution(retry=retry)

    stop()
    run_all(huey)
    assert len(tries) == attempts
