"""Pipelines and error handlers as Huey documents them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from huey.api import ResultGroup

from duey import errors
from tests.contracts.rig import look, run_all, run_next, state


@pytest.fixture
def add(huey):
    @huey.task()
    def add(a, b):
        return a + b

    return add


@pytest.fixture
def fail(huey):
    @huey.task()
    def fail(*args):
        raise ValueError("no good")

    return fail


@pytest.fixture
def heard(huey):
    """What an error handler was called with."""
    calls: list[tuple] = []

    @huey.task()
    def handler(*args):
        calls.append(args)
        return "handled"

    return SimpleNamespace(calls=calls, task=handler)


def test_each_step_gets_the_value_of_the_one_before_last(huey, add):
    results = huey.enqueue(add.s(1, 2).then(add, 3).then(add, 4))
    assert isinstance(results, ResultGroup)
    assert [run_next(huey) for _ in range(3)] == [3, 6, 10]
    assert results.get() == [3, 6, 10]


def test_a_step_is_deferred_only_when_the_one_before_has_ended_well(huey, add):
    results = huey.enqueue(add.s(1, 2).then(add, 3))
    second = list(results)[1]
    assert (len(huey), state(huey.storage, second.id)) == (1, None)
    run_next(huey)
    assert (len(huey), state(huey.storage, second.id)) == (1, "queued")


def test_a_list_is_one_argument(huey):
    @huey.task()
    def some(n):
        return [n, n]

    @huey.task()
    def count(found):
        return len(found)

    results = huey.enqueue(some.s(1).then(count))
    run_all(huey)
    assert results.get() == [[1, 1], 2]


def test_a_pipeline_goes_on_after_a_retry(huey, add):
    failures = [1]

    @huey.task(retries=1)
    def flaky(n):
        if failures:
            raise ValueError(failures.pop())
        return n

    results = huey.enqueue(add.s(1, 2).then(flaky).then(add, 1))
    assert run_all(huey) == [3, None, 3, 4]
    assert results.get() == [3, 3, 4]


def test_a_failed_pipeline_goes_on_when_its_step_is_retried_by_hand(huey, add):
    failures = [1]

    @huey.task()
    def flaky(n):
        if failures:
            raise ValueError(failures.pop())
        return n

    results = huey.enqueue(flaky.s(5).then(add, 1))
    first, second = results
    run_all(huey)
    huey.storage.retry(first.id, None, 0)
    assert run_all(huey) == [5, 6]
    assert (first.get(), second.get()) == (5, 6)


def test_a_step_that_has_run_does_not_run_again_when_the_first_is_retried_by_hand(huey, add):
    results = huey.enqueue(add.s(1, 2).then(add, 3))
    run_all(huey)
    huey.storage.retry(next(iter(results)).id, None, 0)
    assert run_all(huey) == [3]
    assert results.get() == [3, 6]


def test_an_error_handler_is_run_for_each_failed_attempt(huey, heard):
    @huey.task(retries=2)
    def fail():
        raise ValueError("no good")

    result = huey.enqueue(fail.s().error(heard.task.s().then(heard.task)))
    run_all(huey)
    assert (len(heard.calls), state(huey.storage, result.id)) == (6, "failed")


def test_the_steps_of_a_pipeline_keep_their_own_options(huey, add, later):
    results = huey.enqueue(add.s(1, 2).then(add.s(3, delay=60, priority=4)))
    run_next(huey)
    second = look(huey.storage, list(results)[1].id)
    assert (second.state, second.priority) == ("scheduled", 4.0)
    later(61)
    assert run_all(huey) == [6]


def test_a_pipeline_that_is_too_long_is_refused_with_its_limit(huey):
    task = huey.task(name="step")(lambda x=None: x)
    for steps, fits in ((98, True), (150, False)):
        pipeline = task.s([1])
        for _ in range(steps - 1):
            pipeline.then(task)
        if fits:
            huey.enqueue(pipeline)
        else:
            with pytest.raises(errors.TooDeepError, match="a pipeline has at most 98 steps: let the last one enqueue"):
                huey.enqueue(pipeline)
    assert huey.pending_count() == 1


def test_a_task_of_the_script_that_was_started_is_refused(huey):
    def work():
        """Nothing."""

    work.__module__ = "__main__"
    task = huey.task()(work)
    with pytest.raises(errors.ScriptTask, match=r"'__main__\.work' is defined in the script .*: put it into a module"):
        task()
    assert huey.pending_count() == 0
