"""`duey check --queue`: what waits in the queue and would not run with the present task files. Writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duey.cli.checks.databases import damaged
from duey.control.fit import Fit, Misfit
from duey.model.job import JobRecord
from duey.model.schedule import ScheduleRow

IDS = 10  # that are named of one reason
REASONS = 100  # that are told apart
Waiting = tuple[Iterator[JobRecord], Iterator[ScheduleRow]]


@dataclass
class Reason:
    """Why some jobs, or schedules, of one task do not fit."""

    kind: str  # job or schedule
    task: str
    problem: str
    count: int = 0
    ids: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """One line."""
        more = f" and {self.count - len(self.ids):,} more" if self.count > len(self.ids) else ""
        count = f"{self.count:,} {self.kind}{'s' * (self.count != 1)}"
        return f"{self.task}, {count}: {self.problem}: {', '.join(self.ids)}{more}"


@dataclass
class Report:
    """What was looked at, and what does not fit."""

    jobs: int = 0
    schedules: int = 0
    reasons: list[Reason] = field(default_factory=list)

    @property
    def misfits(self) -> int:
        return sum(reason.count for reason in self.reasons)


def fit(huey: Any, known: Any) -> Report:
    """Look at every job that has not ended, and at every schedule that was made at run time."""
    check, report = Fit(huey, known), Report()
    found: dict[tuple[str, str, str], Reason] = {}

    def note(kind: str, name: str, misfit: Misfit | None) -> None:
        if misfit is None:
            return
        key = (kind, misfit.task, misfit.cause)
        if key not in found and len(found) >= REASONS:
            key = (kind, "other tasks", "")
            misfit = Misfit("other tasks", "", "for other reasons")
        reason = found.setdefault(key, Reason(kind, misfit.task, misfit.sentence))
        reason.count += 1
        if len(reason.ids) < IDS:
            reason.ids.append(name)

    with waiting(huey) as (jobs, schedules):
        for job in jobs:
            report.jobs += 1
            note("job", job.id, check.of_job(job))
        for row in schedules:
            report.schedules += 1
            note("schedule", row.name, check.of_schedule(row))
    report.reasons = sorted(found.values(), key=lambda reason: (-reason.count, reason.task))
    return report


@contextmanager
def waiting(huey: Any) -> Iterator[Waiting]:
    """Jobs and schedules of the queue, of any schema version, read one by one."""
    storage = huey.settings.storage
    if storage.backend == "redis":
        from duey.storage.redis import peek as redis_peek

        yield redis_peek.jobs(huey.storage.server), redis_peek.schedules(huey.storage.server)
        return
    from duey.storage.sqlite import peek

    path = Path(storage.path)
    if not path.exists():
        yield iter(()), iter(())
        return
    try:
        with peek.opened(path) as con:
            yield peek.jobs(con), peek.schedules(con)
    except sqlite3.Error as exc:
        raise damaged(path, str(exc)) from exc
