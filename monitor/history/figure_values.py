"""Figures that the history returns: frozen values, summed over a window or a step of time.

Times are UTC epoch seconds. Names of durations end in `_ms` or `_s`. See also duey.monitor.history.values.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Distribution:
    """A distribution of durations. Count, sum and max are exact, percentiles are within a factor of 2.

    `buckets[i]` counts durations from bounds_ms[i - 1] up to bounds_ms[i]: see duey.monitor.history.tallies.
    """

    count: int
    sum_ms: float
    max_ms: float
    p50_ms: float | None
    p95_ms: float | None
    buckets: tuple[int, ...]


@dataclass(frozen=True)
class Outcomes:
    """Numbers of attempts and jobs by outcome. `failed` is final; `retried` counts failed attempts with a retry."""

    enqueued: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0
    canceled: int = 0
    expired: int = 0
    rescued: int = 0


@dataclass(frozen=True)
class TaskFigures:
    """The figures of one task over a window of time."""

    task: str
    qualname: str
    window_s: float
    outcomes: Outcomes
    rate_per_s: float  # ended attempts per second of the window, or since the task was first seen
    run: Distribution
    wait: Distribution
    total_run_ms: float
    sparkline: tuple[int, ...]  # ended attempts in equal steps, oldest first
    sparkline_failed: tuple[int, ...]
    last_at: float | None  # time of the last event, also outside of the window

    @property
    def failures(self) -> int:
        """Failed attempts, final or retried."""
        return self.outcomes.failed + self.outcomes.retried


@dataclass(frozen=True)
class Interval:
    """The outcomes of one minute, hour or day that begins at `at`."""

    at: float
    outcomes: Outcomes
    complete: bool = True  # False if it is not over yet


@dataclass(frozen=True)
class Waits:
    """How long the jobs that started in the minute at `at` had waited for a worker."""

    at: float
    count: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None


@dataclass(frozen=True)
class TaskHistory:
    """The figures of one task: the whole window, and its run times by step (for the heat map)."""

    figures: TaskFigures
    step_s: float
    steps: tuple[TaskStep, ...]  # oldest first, with empty steps


@dataclass(frozen=True)
class TaskStep:
    """One step of a task's window."""

    at: float
    outcomes: Outcomes
    run: Distribution
