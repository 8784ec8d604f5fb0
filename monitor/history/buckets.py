"""Durations in 26 geometric buckets: bucket 0 is below 1 ms, bucket i is from 2^(i-1) ms to 2^i ms.

The last bucket is open. A percentile assumes that values are spread evenly within a bucket. It is therefore within a
factor of 2 of the true value (below 1 ms: within 1 ms), and never larger than the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BUCKETS = 26
# Upper bounds in milliseconds. The last bucket starts at 4.7 hours.
BOUNDS_MS: tuple[float, ...] = (*(float(2**i) for i in range(BUCKETS - 1)), math.inf)


def bucket_of(ms: float) -> int:
    """Return the bucket of a duration in milliseconds, which must not be negative."""
    return min(int(ms).bit_length(), BUCKETS - 1)


def write(buckets: Sequence[int]) -> str:
    """Return the buckets as text, without empty ones: `3:12 4:1`."""
    return " ".join([f"{i}:{count}" for i, count in enumerate(buckets) if count])


def add_written(buckets: list[int], text: str) -> None:
    """Add to `buckets` what `write` returned as text."""
    for pair in text.split():
        i, _, count = pair.partition(":")
        buckets[int(i)] += int(count)


def percentile_ms(buckets: Sequence[int], share: float, max_ms: float) -> float | None:
    """Return the percentile `share` (0 to 1), or None without values. `max_ms` is the largest value."""
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
