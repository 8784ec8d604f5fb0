"""Waiting for a condition, never for a clock."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.01


def wait_until(condition: Callable[[], T], timeout_s: float, what: str) -> T:
    """Poll `condition` until it is true, and return what it gave. AssertionError with `what` after timeout_s.

    An exception that the condition raises is not caught: a broken condition is no reason to wait.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        late = time.monotonic() >= deadline  # read before the last look, so that a slow look is not cut off
        found = condition()
        if found:
            return found
        if late:
            raise AssertionError(f"waited {timeout_s:g} s for this in vain: {what} (last seen: {found!r})")
        time.sleep(POLL_S)
