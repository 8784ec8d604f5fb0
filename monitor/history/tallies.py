"""The numbers of one batch: a tally for each minute and task, and one for each error group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from duey.monitor.history import plain
from duey.monitor.history.buckets import BUCKETS, add_written, bucket_of, write


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
        (
            enqueued,
            done,
            failed,
            retried,
            canceled,
            expired,
            rescued,
            run_ms,
            run_max_ms,
            runs,
            wait_ms,
            max_ms,
            waits,
        ) = row
        self.enqueued += enqueued
        self.done += done
        self.failed += failed
        self.retried += retried
        self.canceled += canceled
        self.expired += expired
        self.rescued += rescued
        self.run_ms += run_ms
        self.wait_ms += wait_ms
        self.run_max_ms = max(self.run_max_ms, run_max_ms)
        self.wait_max_ms = max(self.wait_max_ms, max_ms)
        add_written(self.run_buckets, runs)
        add_written(self.wait_buckets, waits)

    def as_row(self) -> tuple[Any, ...]:
        """Return the row, with the columns that `add_row` takes."""
        return (
            self.enqueued, self.done, self.failed, self.retried, self.canceled, self.expired, self.rescued,
            self.run_ms, self.run_max_ms, write(self.run_buckets),
            self.wait_ms, self.wait_max_ms, write(self.wait_buckets),
        )  # fmt: skip

    @property
    def ended(self) -> int:
        """Return the number of ended attempts, and of jobs that ended without one."""
        return self.done + self.failed + self.retried + self.canceled + self.expired

    def add(self, other: Tally) -> None:
        self.enqueued += other.enqueued
        self.done += other.done
        self.failed += other.failed
        self.retried += other.retried
        self.canceled += other.canceled
        self.expired += other.expired
        self.rescued += other.rescued
        self.run_ms += other.run_ms
        self.wait_ms += other.wait_ms
        self.run_max_ms = max(self.run_max_ms, other.run_max_ms)
        self.wait_max_ms = max(self.wait_max_ms, other.wait_max_ms)
        for mine, theirs in ((self.run_buckets, other.run_buckets), (self.wait_buckets, other.wait_buckets)):
            for i, count in enumerate(theirs):
                mine[i] += count


@dataclass
class GroupTally:
    """Failed attempts of one error group. `hours`: how many in each hour."""

    type: str
    message: str
    task: str
    frames: tuple[str, ...]
    first_seen: float
    last_seen: float
    last_job_id: str
    count: int = 0
    hours: dict[int, int] = field(default_factory=dict)

    def add(self, at: float, message: str, job_id: str) -> None:
        self.count += 1
        hour = int(at // 3600) * 3600
        self.hours[hour] = self.hours.get(hour, 0) + 1
        self.first_seen = min(self.first_seen, at)
        if at >= self.last_seen:
            self.last_seen, self.message, self.last_job_id = at, message, job_id
