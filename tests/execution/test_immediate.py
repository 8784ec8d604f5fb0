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
    return huey.task(name="add")(lambda a, b=0: a + b)


def test_a_call_has_run_when_it_returns_and_leaves_no_file_until_it_is_switched_off(huey, add, tmp_path):
    result = add(1, 2)
    assert [result.get(), result.get(), result.get(blocking=True)] == [3, 3, 3]
    assert huey.task(name="nothing")(lambda: None)().is_ready()
    assert huey.task(name="outer")(lambda: add(1, 2).get())().get() == 3, "a call inside a body"
    with pytest.raises(TaskException, match="division"):
        huey.task(name="fail")(lambda: 1 / 0)().get()
    assert not (tmp_path / "queue.db").exists()
    huey.immediate = False
    result = add(1, 2)
    assert (result.get(), len(huey), (tmp_path / "queue.db").exists()) == (None, 1, True)
    huey.execute(huey.dequeue())
    assert result.get() == 3


def test_retries_flows_revocations_and_locks_work_as_ever(huey, add):
    tries = []

    def flaky():
        tries.append(1)
        return len(tries) if len(tries) == 3 else 1 / 0

    assert huey.task(name="flaky", retries=2)(flaky)().get() == 3
    total = huey.task(name="total")(lambda values: sum(values))
    assert huey.enqueue(add.s(1, 2).then(add, 3)).get() == [3, 6]
    assert huey.enqueue(group([add.s(1), add.s(2)])).get() == [1, 2]
    assert huey.enqueue(chord([add.s(1), add.s(2)], total.s())).get() == 3
    assert huey.enqueue(chord([], total.s())).get() == 0
    add.revoke()
    assert add(1).get() is None
    add.restore()
    assert add(1).get() == 1
    with huey.lock_task("db"):
        assert huey.is_locked("db")
    assert not huey.is_locked("db")


def test_what_is_scheduled_is_not_run_but_can_be_seen(huey, add):
    result = add.schedule((1,), delay=60)
    huey.task(name="fail", retries=1, retry_delay=60)(lambda: 1 / 0)()
    assert (result.get(), huey.scheduled_count()) == (None, 2)
    assert [task.args for task in huey.scheduled()] == [(1,), ()]
    later = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=61)
    task = huey.read_schedule(later)[0]
    assert huey.execute(task, later) == 1
