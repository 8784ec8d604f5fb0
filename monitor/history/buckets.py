"""Durations in 26 geometric buckets: bucket 0 is below 1 ms, bucket i from 2^(i-1) ms up to 2^i, the last has no end.

A percentile is read as the value at its rank, spread evenly within its bucket: so it is within a factor of 2 of the
true one (below 1 ms: within 1 ms), and never above the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BUCKETS = 26
# Upper bounds in milliseconds; the last bucket (from 4.7 hours) has none.
BOUNDS_MS: tuple[float, ...] = (*(float(2**i) for i in range(BUCKETS - 1)), math.inf)


def bucket_of(ms: float) -> int:
    """The bucket of a duration of 0 ms or more."""
    return min(int(ms).bit_length(), BUCKETS - 1)


def write(buckets: Sequence[int]) -> str:
    """As text, without zeros: `3:12 4:1`."""
    return " ".join([f"{i}:{count}" for i, count in enumerate(buckets) if count])


def add_written(buckets: list[int], text: str) -> None:
    """Add what `write` wrote."""
    for pair in text.split():
        i, _, count = pair.partition(":")
        buckets[int(i)] += int(count)


def percentile_ms(buckets: Sequence[int], share: float, max_ms: float) -> float | None:
    """The duration that `share` (0..1) of all stay within; None where there is none. `max_ms`: the largest one."""
    count = sum(buckets)
    if not count:
        return None
    rank, below = max(1, math.ceil(share * count)), 0
    for i, inside in enumerate(buckets):
        if below + inside >= rank:
            low = BOUNDS_MS[i - 1] if i else 0.0
            high = max(low, min(BOUNDS_MS[i], max_ms))
            return min(high, low + (high - low) * (rank - below) / inside)
        below += inside
    raise AssertionError("unreachable: the ranks end with the count")
