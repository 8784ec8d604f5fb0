"""Pytest fixtures for tests of your own tasks. docs/testing.md shows how to use them.

    from duey.testing import immediate_huey
    from tasks import add

    def test_add(immediate_huey):
        assert add(1, 2).get() == 3

`immediate_huey`: a call runs the task at once and stores nothing. There is no job: no limits, no unique keys,
`current_job()` is None, and retries follow at once. `jobs`: calls are stored and run when the test calls `jobs.run()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from duey import errors, huey
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.model.job import ENDED, STATES, Job
from duey.tasks.typed import Result

MOST = 10_000


@pytest.fixture
def immediate_huey() -> Iterator[DurableHuey]:
    """The service's huey, in Huey's immediate mode until the test ends."""
    before = huey.immediate
    huey.immediate = True
    try:
        yield huey
    finally:
        huey.immediate = before


class Jobs:
    """The queue of the test settings. Its jobs run in the test's own process."""

    def __init__(self, own: DurableHuey) -> None:
        self._huey, self._control = own, Control(own)

    def run(self) -> list[Any]:
        """Run jobs, also newly enqueued ones, until none is ready. Return their results, None for a failed job."""
        values: list[Any] = []
        while (task := self._huey.dequeue()) is not None:
            values.append(self._huey.execute(task))
            if len(values) > MOST:
                raise AssertionError(f"more than {MOST} jobs ran: do they enqueue each other without end?")
        return values

    def get(self, handle: Result[Any] | str) -> Job:
        """Return the job of a result handle or id, with `state`, `attempt`, `result`, `error` and more."""
        return self._control.job(handle if isinstance(handle, str) else handle.id)

    def waiting(self) -> int:
        """Return the number of jobs that have not ended."""
        counts = self._control.counts()
        return counts.queued + counts.blocked + counts.scheduled + counts.retrying + counts.running

    def cancel_all(self) -> None:
        """Cancel all jobs that have not ended."""
        for state in set(STATES) - ENDED:
            for job in self._control.jobs(state=state, limit=500).jobs:
                self._control.cancel(job.id)


@contextmanager
def real_jobs(own: DurableHuey) -> Iterator[Jobs]:
    """Yield the jobs of a test. Raises Misconfigured if the queue is not empty: it may belong to a real service."""
    found = Jobs(own)
    if waiting := found.waiting():
        raise errors.Misconfigured(
            f"the fixture `jobs` expects an empty queue, and {waiting} jobs wait in that of {own.settings.source}: "
            "give the tests settings of their own (DUEY_CONFIG)"
        )
    yield found
    found.cancel_all()


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """The queue of the test settings, empty at the start of each test."""
    with real_jobs(huey) as found:
        yield found
