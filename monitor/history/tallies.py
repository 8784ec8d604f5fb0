"""Tallies: the numbers of one batch or window, for each minute and task.

Durations are counted in 26 geometric buckets: bucket 0 is below 1 ms, bucket i is from 2^(i-1) ms to 2^i ms, the last
one is open. A percentile assumes that values are spread evenly within a bucket. It is therefore within a factor of 2
of the true value (below 1 ms: within 1 ms), and never larger than the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from duey.monitor.history import plain
from duey.monitor.history.columns import FIGURE_COUNTS

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


class Tally:
    """Counts by outcome, and distributions of run times and waiting times."""

    __slots__ = (
        "canceled", "done", "enqueued", "expired", "failed", "rescued", "retried", "run_buckets", "run_max_ms",
        "run_ms", "wait_buckets", "wait_max_ms", "wait_ms",
    )  # fmt: skip

    def __init__(self) -> None:
        self.enqueued = self.done = self.failed = self.retried = self.canceled = self.expired = self.rescued = 0
        self.run_ms = self.run_max_ms = self.wait_ms = self.wait_max_ms = 0.0
        self.run_buckets = [0] * BUCKETS
        self.wait_buckets = [0] * BUCKETS

    def add_run(self, ms: float) -> None:
        self.run_ms += ms
        self.run_buckets[bucket_of(ms)] += 1
        if ms > self.run_max_ms:
            self.run_max_ms = ms

    def add_wait(self, ms: float) -> None:
        self.wait_ms += ms
        self.wait_buckets[bucket_of(ms)] += 1
        if ms > self.wait_max_ms:
            self.wait_max_ms = ms

    def add_counted(self, counted: Mapping[str, Any]) -> None:
        """Add jobs that are only counted (duey.storage.compaction.Counted), all with the average duration."""
        done = plain.whole(counted["done"])
        self.enqueued += done
        self.done += done
        for name, buckets in (("run", self.run_buckets), ("wait", self.wait_buckets)):
            sum_ms, max_ms = (plain.number(counted[f"{name}{which}_ms"]) for which in ("", "_max"))
            buckets[bucket_of(sum_ms / max(1, done))] += done
            setattr(self, f"{name}_ms", getattr(self, f"{name}_ms") + sum_ms)
            setattr(self, f"{name}_max_ms", max(getattr(self, f"{name}_max_ms"), max_ms))

    def add_row(self, row: Sequence[Any]) -> None:
        """Add a row of `figures` with the columns FIGURE_VALUES."""
        *counts, run_ms, run_max_ms, runs, wait_ms, wait_max_ms, waits = row
        for name, count in zip(FIGURE_COUNTS, counts, strict=True):
            setattr(self, name, getattr(self, name) + count)
        self._add_durations(run_ms, run_max_ms, wait_ms, wait_max_ms)
        add_written(self.run_buckets, runs)
        add_written(self.wait_buckets, waits)

    def as_row(self) -> tuple[Any, ...]:
        """Return the row, with the columns that `add_row` takes."""
        return (
            *(getattr(self, name) for name in FIGURE_COUNTS),
            self.run_ms, self.run_max_ms, write(self.run_buckets),
            self.wait_ms, self.wait_max_ms, write(self.wait_buckets),
        )  # fmt: skip

    @property
    def ended(self) -> int:
        """Return the number of ended attempts, and of jobs that ended without one."""
        return self.done + self.failed + self.retried + self.canceled + self.expired

    def add(self, other: Tally) -> None:
        for name in FIGURE_COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._add_durations(other.run_ms, other.run_max_ms, other.wait_ms, other.wait_max_ms)
        for mine, theirs in ((self.run_buckets, other.run_buckets), (self.wait_buckets, other.wait_buckets)):
            for i, count in enumerate(theirs):
                mine[i] += count

    def _add_durations(self, run_ms: float, run_max_ms: float, wait_ms: float, wait_max_ms: float) -> None:
        self.run_ms += run_ms
        self.wait_ms += wait_ms
        self.run_max_ms = max(self.run_max_ms, run_max_ms)
        self.wait_max_ms = max(self.wait_max_ms, wait_max_ms)
