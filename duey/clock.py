"""The one place from which the engine takes the time, so that tests can hold it in their hands.

`now()` is UTC epoch seconds. Durations inside a process use time.monotonic() and are not affected.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_source: Callable[[], float] = time.time


def now() -> float:
    """UTC epoch seconds."""
    return _source()


def set_source(source: Callable[[], float] | None) -> None:
    """Replace the clock (tests only); None restores the real one."""
    global _source
    _source = source or time.time
