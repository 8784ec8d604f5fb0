"""The figures that the history answers with: frozen values, summed over windows and steps of time.

Times are UTC epoch seconds, durations end in `_ms` or `_s`; see duey.monitor.history.values for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Distribution:
    """How long it took, from geometric buckets: exact in count, sum and max, percentiles within a factor of 2.

    `buckets[i]` counts what took from bounds_ms[i - 1] up to bounds_ms[i]: see duey.monitor.history.buckets.
    """

    count: int
    sum_ms: float
    max_ms: float
    p50_ms: float | None
    p95_ms: float | None
    buckets: tuple[int, ...]


@dataclass(frozen=True)
class Outcomes:
    """How many attempts and jobs ended in which way. `failed` is final; `retried` counts failed attempts that retry."""

    enqueued: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0
    canceled: int = 0
    expired: int = 0
    rescued: int = 0


@dataclass(frozen=True)
class TaskFigures:
    """One task over a window of time."""

    task: str
    qualname: str
    window_s: float
    outcomes: Outcomes
    rate_per_s: float  # ended attempts, over the window (or since the task was first seen)
    run: Distribution
    wait: Distribution
    total_run_ms: float
    sparkline: tuple[int, ...]  # ended attempts, in equal steps, oldest first
    sparkline_failed: tuple[int, ...]
    last_at: float | None  # its last event, also outside of the window

    @property
    def failures(self) -> int:
        """Failed attempts, final or retried."""
        return self.outcomes.failed + self.outcomes.retried


@dataclass(frozen=True)
class Interval:
    """What happened in one minute, hour or day that begins at `at`."""

    at: float
    outcomes: Outcomes
    complete: bool = True  # False for the one that is not over


@dataclass(frozen=True)
class Waits:
    """How long jobs that started in the minute at `at` had waited for a worker."""

    at: float
    count: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None


@dataclass(frozen=True)
class TaskHistory:
    """One task over time: the whole window, and its run times by step (the heat map of the histogram)."""

    figures: TaskFigures
    step_s: float
    steps: tuple[TaskStep, ...]  # oldest first, empty ones included


@dataclass(frozen=True)
class TaskStep:
    """A task in one step of a window."""

    at: float
    outcomes: Outcomes
    run: Distribution
