"""Waiting for a condition, never for a clock."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.01
SELDOM_S = 0.05


def wait_until(condition: Callable[[], T], timeout_s: float, what: str, every_s: float = POLL_S) -> T:
    """Poll `condition` until it is true, and return what it gave. AssertionError with `what` after timeout_s.

    What has not come soon is looked at less often, since some looks cost as much as what they wait for; `every_s`: how
    often at first. An exception that the condition raises is not caught: a broken condition is no reason to wait.
    """
    since = time.monotonic()
    while True:
        waited_s = time.monotonic() - since  # read before the last look, so that a slow look is not cut off
        found = condition()
        if found:
            return found
        if waited_s >= timeout_s:
            raise AssertionError(f"waited {timeout_s:g} s for this in vain: {what} (last seen: {found!r})")
        time.sleep(max(every_s, min(waited_s / 10, SELDOM_S)))
