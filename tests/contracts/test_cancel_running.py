"""A running job that is asked to stop: its body may look, is told by a raise, and ends as canceled."""

from __future__ import annotations

import pytest
from huey.api import chord

from duey import canceled, check_canceled, current_job
from tests.contracts.rig import job, jobs, kinds, run_all, run_next, state


def test_a_body_learns_that_it_was_asked_to_stop(huey, storage):
    @huey.task()
    def task():
        before = canceled()
        storage.cancel(current_job().id)
        return before, canceled()

    assert task() and run_next(huey) == (False, True)


def test_a_body_that_ends_all_the_same_is_done(huey, storage):
    @huey.task()
    def task():
        storage.cancel(current_job().id)

    result = task()
    run_next(huey)
    assert state(storage, result.id) == "done"
    assert storage.stop_requested([1]) == set()


@pytest.mark.parametrize("retries", [0, 5])
def test_a_check_ends_the_body_and_the_job_as_canceled(huey, storage, retries):
    went_on = []

    @huey.task(retries=retries)
    def task():
        check_canceled()
        storage.cancel(current_job().id)
        check_canceled()
        went_on.append(1)

    result = task()
    run_next(huey)
    assert (state(storage, result.id), went_on) == ("canceled", [])
    assert kinds(storage) == ["enqueued", "canceled"]


def test_huey_s_own_check_of_the_timeout_is_one_as_well(huey, storage):
    @huey.task(context=True)
    def task(task=None):
        task.check_timeout()
        storage.cancel(task.id)
        task.check_timeout()

    result = task()
    run_next(huey)
    assert state(storage, result.id) == "canceled"


def test_a_check_raises_past_the_timeout(huey, storage):
    @huey.task(timeout=0.0001)
    def task():
        while True:
            check_canceled()

    result = task()
    run_next(huey)
    assert state(storage, result.id) == "failed"
    assert storage.read_events(10)[-1].detail["type"] == "TaskTimeout"


def test_outside_of_a_job_nothing_is_canceled():
    check_canceled()
    assert not canceled()


def test_a_failed_attempt_of_a_job_that_was_asked_to_stop_is_its_last(huey, storage):
    @huey.task(retries=5)
    def task():
        storage.cancel(current_job().id)
        raise ValueError

    result = task()
    run_all(huey)
    assert (state(storage, result.id), kinds(storage)) == ("canceled", ["enqueued", "canceled"])


def test_a_chord_hears_of_a_canceled_member(huey, storage):
    @huey.task()
    def member():
        storage.cancel(current_job().id)
        check_canceled()

    @huey.task()
    def together(parts):
        return [type(part).__name__ for part in parts]

    result = huey.enqueue(chord([member.s()], together.s()))
    run_all(huey)
    assert result.get() == ["Error"]


def test_a_storage_names_what_was_asked_to_stop_by_its_worker(storage, hire):
    storage.enqueue_jobs([*jobs("abc"), job("d", eta=1e11)])
    one, other = hire(), hire()
    a, b = one.claim(2)
    (c,) = other.claim(1)
    assert storage.stopping([one.n, other.n]) == set()
    for each in "ac":
        storage.cancel(each)
    storage.cancel("d")
    assert storage.stopping([one.n, other.n]) == {a.token, c.token}
    assert storage.stopping([one.n]) == {a.token}
    assert storage.stopping([]) == set()
    one.settle(a)
    assert storage.stopping([one.n]) == set()
    one.settle(b)
