"""How long the result of a job is kept: as its task says, else as the service does; what failed, for a retry."""

from __future__ import annotations

import pytest

from tests.contracts.rig import run_next, state


@pytest.mark.parametrize(
    ("options", "kept_s"), [({"keep_for": 60}, 60), ({"keep_for": 200_000}, 200_000), ({}, 86_400)]
)
def test_a_result_is_kept_as_long_as_its_task_says(huey, storage, clock, options, kept_s):
    @huey.task(**options)
    def task():
        return 7

    result = task()
    run_next(huey)
    storage.delete_events(storage.read_events(10))
    clock.advance(kept_s - 1)
    storage.run_maintenance()
    assert result.get() == 7
    clock.advance(1)
    storage.run_maintenance()
    assert state(storage, result.id) is None


def test_a_failed_job_is_kept_so_that_it_can_be_retried(huey, storage, clock):
    @huey.task(keep_for=60)
    def task():
        raise ValueError

    result = task()
    run_next(huey)
    storage.delete_events(storage.read_events(10))
    clock.advance(100_000)
    storage.run_maintenance()
    assert state(storage, result.id) == "failed"


def test_the_books_are_told_how_long_the_task_says(huey, storage):
    @huey.task(keep_for=60)
    def short():
        pass

    @huey.task()
    def plain():
        pass

    short()
    plain()
    assert [e.detail.get("keep_s") for e in storage.read_events(10)] == [60, None]
