"""For tests of your own tasks: a pytest fixture under which a call has run when it returns, and nothing is stored.

    from duey.testing import immediate_huey
    from tasks import add

    def test_add(immediate_huey):
        assert add(1, 2).get() == 3

There is no job then, only the body: no claim, no limit, no unique key; `current_job()` is None, retries follow at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from duey import huey
from duey.execution.huey import DurableHuey


@pytest.fixture
def immediate_huey() -> Iterator[DurableHuey]:
    """The one huey, in Huey's immediate mode until the test ends."""
    before = huey.immediate
    huey.immediate = True
    try:
        yield huey
    finally:
        huey.immediate = before
