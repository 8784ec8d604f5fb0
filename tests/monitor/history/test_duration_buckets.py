"""Durations in buckets: every duration has one, and percentiles are within the promised bounds."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from duey.monitor.history import BUCKETS, tallies

durations = st.floats(0, 1e9, allow_nan=False)


@given(durations)
def test_a_duration_is_in_the_bucket_whose_bounds_hold_it(ms: float) -> None:
    i = tallies.bucket_of(ms)
    assert (tallies.BOUNDS_MS[i - 1] if i else 0) <= ms < tallies.BOUNDS_MS[i]


def test_there_are_26_up_to_hours_and_without_end() -> None:
    assert len(tallies.BOUNDS_MS) == BUCKETS == tallies.BUCKETS == 26
    assert tallies.BOUNDS_MS[-2] > 4 * 3600 * 1000
    assert tallies.BOUNDS_MS[-1] == math.inf


@given(st.lists(durations, min_size=1, max_size=300), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_a_factor_of_two(times: list[float], share: float) -> None:
    counts = [0] * BUCKETS
    for ms in times:
        counts[tallies.bucket_of(ms)] += 1
    true = sorted(times)[max(1, math.ceil(share * len(times))) - 1]
    found = tallies.percentile_ms(counts, share, max(times))
    assert found is not None
    assert found <= max(times)
    if true < 1:
        assert abs(found - true) <= 1
    elif true < tallies.BOUNDS_MS[-2]:
        assert true / 2 <= found <= true * 2
    else:  # the last bucket has no upper bound but the largest value
        assert tallies.BOUNDS_MS[-2] <= found <= max(times)


def test_nothing_has_no_percentile() -> None:
    assert tallies.percentile_ms([0] * BUCKETS, 0.5, 0.0) is None


@given(st.lists(st.integers(0, 10**9), min_size=BUCKETS, max_size=BUCKETS))
def test_what_is_written_is_read_again_and_zeros_take_no_room(counts: list[int]) -> None:
    text = tallies.write(counts)
    read = [0] * BUCKETS
    tallies.add_written(read, text)
    assert read == counts
    assert len(text.split()) == sum(1 for count in counts if count)
