"""Revoking as Huey documents it: one call, a task, until a time, once; and restoring."""

from __future__ import annotations

import datetime

import pytest

from tests.contracts.rig import SOON_S, crew, kinds, run_all, state


@pytest.fixture
def add(huey):
    @huey.task()
    def add(a, b=0):
        return a + b

    return add


def in_(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def by_task(huey, task):
    huey.revoke(task)


def by_id(huey, task):
    huey.revoke_by_id(task.id)


def by_handle(huey, task):
    huey._result_handle(task).revoke()


REVOKE = pytest.mark.parametrize("revoke", [by_task, by_id, by_handle])


@REVOKE
def test_a_revoked_call_is_not_run(huey, add, revoke):
    task = add.s(1)
    result = huey.enqueue(task)
    revoke(huey, task)
    assert result.is_revoked()
    assert huey.is_revoked(task)
    assert huey.is_revoked(task.id)
    assert (run_all(huey), state(huey.storage, task.id)) == ([None], "canceled")
    assert kinds(huey.storage) == ["enqueued", "canceled"]


@REVOKE
def test_a_call_may_be_revoked_before_it_is_deferred(huey, add, revoke):
    task = add.s(1)
    revoke(huey, task)
    huey.enqueue(task)
    assert run_all(huey) == [None]


def test_a_restored_call_runs(huey, add):
    for restore in (
        huey.restore,
        lambda task: huey.restore_by_id(task.id),
        lambda task: huey._result_handle(task).restore(),
    ):
        task = add.s(1)
        huey.enqueue(task)
        huey.revoke(task)
        assert restore(task)
        assert not restore(task)
        assert not huey.is_revoked(task)
        assert run_all(huey) == [1]


def test_a_revocation_ends_with_its_job(huey, add):
    """Unlike Huey's, which would be kept for ever."""
    result = add(1)
    huey.revoke_by_id(result.id)
    run_all(huey)
    assert not huey.is_revoked(result.id)


def test_a_scheduled_call_may_be_revoked(huey, add, later):
    result = add.schedule((1,), delay=60)
    result.revoke()
    later(61)
    assert (run_all(huey), state(huey.storage, result.id)) == ([None], "canceled")


def test_a_call_revoked_until_a_time_runs_after_it(huey, add, later):
    first, second = add.s(1), add.s(2, delay=100)
    for task in (first, second):
        huey.revoke(task, revoke_until=in_(60))
        huey.enqueue(task)
    assert huey.is_revoked(second)
    assert run_all(huey) == [None]
    later(101)
    assert not huey.is_revoked(second)
    assert run_all(huey) == [2]


# a whole task


def test_a_task_revoked_once_is_skipped_once(huey, add):
    add.revoke(revoke_once=True)
    add(1)
    add(2)
    assert run_all(huey) == [None, 2]
    assert not add.is_revoked()


def test_a_task_revoked_until_a_time_runs_after_it(huey, add, later):
    add.revoke(revoke_until=in_(60))
    add(1)
    assert run_all(huey) == [None]
    later(61)
    add(2)
    assert not add.is_revoked()
    assert run_all(huey) == [2]


def test_revoking_the_first_step_stops_the_pipeline(huey, add):
    first = add.s(1)
    huey.enqueue(first.then(add, 1))
    huey.revoke(first)
    assert run_all(huey) == [None]


def test_every_revoked_job_of_a_batch_is_met_at_the_desk(huey, add):
    """Workers look for revocations only while there are any: none may slip through between two turns."""
    results = [add(n) for n in range(30)]
    for result in results[::2]:
        result.revoke()
    with crew(huey, threads=2):
        for result in results[1::2]:
            result.get(blocking=True, timeout=SOON_S)
        for result in results:
            assert huey.storage.wait_ended(result.id, SOON_S)
    assert [state(huey.storage, result.id) for result in results] == ["canceled", "done"] * 15
