"""Huey's tasks and results as its documentation describes them, and where Duey's are more."""

from __future__ import annotations

import time

import pytest
from huey.api import Result
from huey.exceptions import ConfigurationError, ResultTimeout, TaskException

from duey import errors
from duey.worker.prefetcher import SLEEP_S
from tests.contracts.rig import SOON_S, crew, look, run_all, run_next, state


@pytest.fixture
def add(huey):
    @huey.task()
    def add(a, b=0):
        """Adds."""
        return a + b

    return add


def test_a_call_defers_and_a_worker_runs_it(huey, add):
    result = add(1, b=2)
    assert isinstance(result, Result)
    assert (len(huey), result()) == (1, None)
    assert run_next(huey) == 3
    assert (len(huey), result()) == (0, 3)


def test_a_result_is_not_consumed_by_reading_it(huey, add):
    """Unlike Huey's: results expire instead."""
    result = add(1, 2)
    run_all(huey)
    for _ in range(2):
        result.reset()
        assert result.get() == 3
    assert result.get(preserve=True) == 3
    assert huey.result_count() == 1


def test_a_result_of_none_is_stored(huey):
    """Unlike Huey's default: a task without a value can be waited for."""

    @huey.task()
    def nothing():
        return None

    result = nothing()
    assert not result.is_ready()
    run_all(huey)
    assert result.is_ready()
    assert result.get(blocking=True, timeout=SOON_S) is None


def test_the_result_of_a_periodic_task_is_stored(huey):
    """Unlike Huey's."""

    @huey.periodic_task(lambda now: True)
    def nightly():
        return "done"

    result = nightly()
    run_all(huey)
    assert result.get() == "done"


def test_a_wait_that_is_too_short_may_revoke(huey, add):
    result = add(1, 2)
    with pytest.raises(ResultTimeout):
        result.get(blocking=True, timeout=0.05, revoke_on_timeout=True)
    assert result.is_revoked()
    assert run_all(huey) == [None]
    assert state(huey.storage, result.id) == "canceled"


def test_sleeping_workers_are_woken_by_every_call(huey, add):
    with crew(huey):
        for n in range(10):
            began = time.monotonic()
            assert add(n).get(blocking=True, timeout=SOON_S) == n
            assert time.monotonic() - began < SLEEP_S, "nobody rang: the worker found the job only after its sleep"


def test_an_error_is_raised_where_the_result_is_read(huey):
    @huey.task()
    def fail():
        raise ValueError("no good")

    result = fail()
    run_all(huey)
    with pytest.raises(TaskException, match="no good") as caught:
        result.get()
    metadata = caught.value.metadata
    assert (metadata["error"], metadata["retries"], metadata["task_id"]) == ("ValueError('no good')", 0, result.id)
    assert "ValueError: no good" in metadata["traceback"]
    assert "run_body" not in metadata["traceback"]


def test_arguments_and_results_come_back_as_they_were(huey):
    @huey.task()
    def echo(*args, **kwargs):
        return args, kwargs

    values = (1, "two", 3.5, None, True, [1, [2]], (3, 4), {"k": {5, 6}}, b"\x00\xff")
    result = echo(*values, **{"key": {"x": (1,)}})
    run_all(huey)
    assert result.get() == (values, {"key": {"x": (1,)}})


def test_an_argument_that_cannot_be_carried_is_refused_at_once(huey, add):
    with pytest.raises(errors.UnserializableError, match="args"):
        add(object())
    assert len(huey) == 0


def test_a_result_that_cannot_be_carried_fails_the_job(huey):
    @huey.task()
    def odd():
        return object()

    result = odd()
    run_all(huey)
    assert state(huey.storage, result.id) == "failed"
    with pytest.raises(TaskException, match="object"):
        result.get()


def test_results_of_a_group_come_as_they_complete(huey, add):
    results = add.map([1, 2, 3])
    with crew(huey):
        assert sorted(result for result in results.as_completed()) == [1, 2, 3]


def test_a_prepared_call_is_deferred_by_huey(huey, add):
    task = add.s(1, 2, priority=3, retries=4, retry_delay=5, timeout=6)
    result = huey.enqueue(task)
    found = look(huey.storage, result.id)
    assert (result.id, found.priority, found.retries) == (task.id, 3.0, 4)
    claim = huey.dequeue().claim
    assert (claim.retry_delay_s, claim.timeout_s) == (5.0, 6.0)


def test_an_id_may_be_chosen_and_is_deferred_once(huey, add):
    """Unlike Huey's, which would run both."""
    huey.enqueue(add.s(1, 2, id="mine"))
    huey.enqueue(add.s(1, 2, id="mine"))
    assert (len(huey), run_all(huey)) == (1, [3])
    with pytest.raises(errors.DuplicateJob):
        huey.enqueue(add.s(1, 2, id="mine"))


def test_what_waits_can_be_looked_at(huey, add):
    add(1)
    add.schedule((2,), delay=60)
    assert [task.args for task in huey.pending()] == [(1,)]
    assert [task.args for task in huey.scheduled()] == [(2,)]
    assert (huey.pending_count(), huey.scheduled_count(), len(huey)) == (1, 1, 1)
    huey.flush()
    assert (huey.pending_count(), huey.scheduled_count()) == (0, 0)


def test_a_coroutine_is_refused_where_it_is_decorated(huey):
    with pytest.raises(ConfigurationError, match="asyncio"):

        @huey.task()
        async def later():
            pass


def test_what_a_body_defers_is_durable_at_once_and_names_its_parent(huey, add, elsewhere):
    seen = []

    @huey.task()
    def outer():
        result = add(1, 2)
        seen.append(state(elsewhere, result.id))
        return result.id

    parent = outer()
    child = run_next(huey)
    assert (seen, look(huey.storage, child).parent) == (["queued"], parent.id)
    assert run_next(huey) == 3


def test_a_body_that_fails_has_deferred_what_it_deferred(huey, add):
    @huey.task()
    def outer():
        add(1, 2)
        raise ValueError

    outer()
    assert run_all(huey) == [None, 3]
