"""`huey.immediate = True`: calls run on the spot, in memory, as Huey documents it for tests."""

from __future__ import annotations

import datetime

import pytest
from huey.api import chord, group
from huey.exceptions import TaskException

from tests.support.sqlite_huey import sqlite_huey


@pytest.fixture
def huey(tmp_path):
    with sqlite_huey(tmp_path) as huey:
        huey.immediate = True
        yield huey


@pytest.fixture
def add(huey):
    @huey.task()
    def add(a, b=0):
        return a + b

    return add


def test_a_call_has_run_when_it_returns(huey, add, tmp_path):
    assert add(1, 2).get() == 3
    assert not (tmp_path / "queue.db").exists()


def test_a_result_can_be_read_again(add):
    result = add(1, 2)
    assert [result.get(), result.get(), result.get(blocking=True)] == [3, 3, 3]


def test_none_is_a_result(huey):
    @huey.task()
    def nothing():
        return None

    assert nothing().is_ready()


def test_an_error_is_raised_where_the_result_is_read(huey):
    @huey.task()
    def fail():
        raise ValueError("no good")

    with pytest.raises(TaskException, match="no good"):
        fail().get()


def test_retries_run_on_the_spot(huey):
    tries = []

    @huey.task(retries=2)
    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError
        return len(tries)

    assert flaky().get() == 3


def test_pipelines_groups_and_chords_run_on_the_spot(huey, add):
    @huey.task()
    def total(values):
        return sum(values)

    assert huey.enqueue(add.s(1, 2).then(add, 3)).get() == [3, 6]
    assert huey.enqueue(group([add.s(1), add.s(2)])).get() == [1, 2]
    assert huey.enqueue(chord([add.s(1), add.s(2)], total.s())).get() == 3
    assert huey.enqueue(chord([], total.s())).get() == 0


def test_what_is_scheduled_is_not_run_but_can_be_seen(huey, add):
    result = add.schedule((1,), delay=60)
    assert (result.get(), huey.scheduled_count()) == (None, 1)
    assert [task.args for task in huey.scheduled()] == [(1,)]
    later = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=61)
    (task,) = huey.read_schedule(later)
    assert huey.execute(task, later) == 1


def test_a_retry_with_a_delay_is_scheduled(huey):
    @huey.task(retries=1, retry_delay=60)
    def fail():
        raise ValueError

    fail()
    assert huey.scheduled_count() == 1


def test_revoked_calls_and_locks_work_as_ever(huey, add):
    add.revoke()
    assert add(1).get() is None
    add.restore()
    assert add(1).get() == 1
    with huey.lock_task("db"):
        assert huey.is_locked("db")
    assert not huey.is_locked("db")


def test_a_call_inside_a_body_runs_on_the_spot(huey, add):
    @huey.task()
    def outer():
        return add(1, 2).get()

    assert outer().get() == 3


def test_the_durable_queue_is_back_when_it_is_switched_off(huey, add, tmp_path):
    huey.immediate = False
    result = add(1, 2)
    assert (result.get(), len(huey), (tmp_path / "queue.db").exists()) == (None, 1, True)
    huey.execute(huey.dequeue())
    assert result.get() == 3
