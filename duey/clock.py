"""The one place from which the engine takes the time, so that tests can hold it in their hands.

`now()` is UTC epoch seconds. Durations inside a process use time.monotonic() and are not affected.
"""

from __future__ import annotations

import calendar
import datetime
import time
from collections.abc import Callable
from functools import lru_cache

_source: Callable[[], float] = time.time


def now() -> float:
    """UTC epoch seconds."""
    return _source()


def set_source(source: Callable[[], float] | None) -> None:
    """Replace the clock (tests only); None restores the real one."""
    global _source
    _source = source or time.time


def epoch(moment: datetime.datetime) -> float:
    """Huey's naive UTC datetime as UTC epoch seconds."""
    return calendar.timegm(moment.timetuple()) + moment.microsecond / 1e6


def naive_utc(instant: float) -> datetime.datetime:
    """UTC epoch seconds as Huey's naive UTC datetime."""
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=instant)


def rfc3339(at: float | None) -> str | None:
    """UTC epoch seconds in the form 2030-01-01T00:00:00.000Z; None for None and for what no calendar has."""
    if at is None:
        return None
    try:
        second, ms = divmod(round(at * 1000), 1000)
        return f"{_to_the_second(second)}.{ms:03d}Z"
    except (ValueError, OverflowError, OSError):  # Python code can enqueue a job for such a time
        return None


@lru_cache(maxsize=1024)  # consecutive times mostly have the same seconds
def _to_the_second(second: int) -> str:
    return datetime.datetime.fromtimestamp(second, datetime.timezone.utc).isoformat()[:19]
