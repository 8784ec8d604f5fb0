"""For tests of your own tasks: pytest fixtures. docs/testing.md shows how to use them.

    from duey.testing import immediate_huey
    from tasks import add

    def test_add(immediate_huey):
        assert add(1, 2).get() == 3

`immediate_huey`: a call has run when it returns, and nothing is stored. There is no job then, only the body: no limit,
no unique key; `current_job()` is None, retries follow at once. `jobs`: calls are stored, and run when the test says so.
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
    """The one huey, in Huey's immediate mode until the test ends."""
    before = huey.immediate
    huey.immediate = True
    try:
        yield huey
    finally:
        huey.immediate = before


class Jobs:
    """The queue of the tests' settings, whose jobs run in the test's own process."""

    def __init__(self, own: DurableHuey) -> None:
        self._huey, self._control = own, Control(own)

    def run(self) -> list[Any]:
        """Run jobs until none is ready, also those that they enqueue; what their bodies returned, None for failures."""
        values: list[Any] = []
        while (task := self._huey.dequeue()) is not None:
            values.append(self._huey.execute(task))
            if len(values) > MOST:
                raise AssertionError(f"more than {MOST} jobs ran: do they enqueue each other without end?")
        return values

    def get(self, handle: Result[Any] | str) -> Job:
        """The job of a handle, or with an id: `state`, `attempt`, `result`, `error` and more."""
        return self._control.job(handle if isinstance(handle, str) else handle.id)

    def waiting(self) -> int:
        """How many jobs have not ended."""
        counts = self._control.counts()
        return counts.queued + counts.blocked + counts.scheduled + counts.retrying + counts.running

    def cancel_all(self) -> None:
        """Cancel what still waits."""
        for state in set(STATES) - ENDED:
            for job in self._control.jobs(state=state, limit=500).jobs:
                self._control.cancel(job.id)


@contextmanager
def real_jobs(own: DurableHuey) -> Iterator[Jobs]:
    """The jobs of a test. Raises Misconfigured where others wait already: they may be those of a real service."""
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
    """The queue of the tests' settings, empty at the start of each test."""
    with real_jobs(huey) as found:
        yield found
