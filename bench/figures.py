"""Figures as the tables show them: medians, percentiles, ratios, and how they are written."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

median = statistics.median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def whole(value: float) -> str:
    """12,345"""
    return f"{value:,.0f}"


def spread(values: Sequence[float]) -> str:
    """The median, and between which it was found."""
    if len(values) == 1:
        return whole(values[0])
    return f"{whole(median(values))} ({whole(min(values))} - {whole(max(values))})"


def ms(seconds: float) -> str:
    """Milliseconds with as many digits as mean something."""
    value = seconds * 1000
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else whole(value)


def times(value: float) -> str:
    """As a ratio: 6.1x"""
    return f"{value:.2f}x" if value < 10 else f"{value:.1f}x"


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Round by round, since both saw the same machine then."""
    return [value / other for value, other in zip(values, base, strict=True) if other]
