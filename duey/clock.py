"""The clock of the engine: everything asks it for the time, and tests replace it.

`now()` is UTC epoch seconds. Durations inside a process use time.monotonic() and are not affected.

On several hosts one clock must decide what is due: that of the server that keeps the queue. `compare` measures how far
this host's clock is from it, and `now()` is corrected by that. Differences that are smaller than what can be
measured for certain are left alone, so on most hosts nothing is corrected.
"""

from __future__ import annotations

import calendar
import datetime
import time
from collections.abc import Callable
from functools import lru_cache

UNSURE_S = 0.05  # a difference below this is not corrected
SET_S = 0.5  # the host's clock was set if it moves by more than this against one that nobody sets
OFF_S = 1.0  # a host whose clock differs by more than this is named

# By how much this host's clock is ahead, and the difference between it and the steady clock at that time. A single
# value, so that threads that notice at the same time that the clock was set get the same result.
_known: tuple[float, float] | None = None
_clock_id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the former runs on while the machine sleeps


def _steady() -> float:
    return time.clock_gettime(_clock_id)


def _corrected() -> float:
    """The host's clock, minus how much it is ahead. Setting the clock after it was compared changes nothing."""
    global _known
    if (known := _known) is None:
        return time.time()
    wall, (ahead_s, usual_s) = time.time(), known
    moved_s = wall - _steady() - usual_s
    if abs(moved_s) > SET_S:
        ahead_s += moved_s
        _known = (ahead_s, usual_s + moved_s)
    return wall - ahead_s


_source: Callable[[], float] = _corrected


def now() -> float:
    """UTC epoch seconds."""
    return _source()


def compare(ask: Callable[[], float]) -> None:
    """Correct `now()` from here on by the clock that `ask` reads, in UTC epoch seconds. Passes on what it raises."""
    global _known
    began = _steady()
    there = ask()
    ended, wall = _steady(), time.time()
    unsure_s = (ended - began) / 2
    ahead_s, before_s = wall - unsure_s - there, host_ahead_s()
    unsure_s += UNSURE_S
    if abs(ahead_s) <= unsure_s:
        ahead_s = 0.0
    elif abs(ahead_s - before_s) <= unsure_s:
        ahead_s = before_s
    _known = (ahead_s, wall - ended)


def host_ahead_s() -> float:
    """By how many seconds this host's clock is ahead, 0 if it was never compared."""
    return 0.0 if _known is None else _known[0]


def off_in_words(ahead_s: float) -> str:
    """`clock 7,200 s ahead`, empty if it is not off."""
    return f"clock {abs(ahead_s):,.0f} s {'ahead' if ahead_s > 0 else 'behind'}" if abs(ahead_s) > OFF_S else ""


def warning(ahead_s: float, whose: str) -> str:
    """The sentence about a clock that is off, empty if it is not."""
    if not (off := off_in_words(ahead_s)):
        return ""
    size = off.removeprefix("clock ").replace("ahead", "ahead of")
    return f"the clock of {whose} is {size} that of Redis, by which Duey goes: set it, and keep it set by NTP"


def set_source(source: Callable[[], float] | None) -> None:
    """Replace the clock (tests only); None restores the real one."""
    global _source
    _source = source or _corrected


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
