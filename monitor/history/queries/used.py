"""What the attempts of a task used: processor time and memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from duey.monitor.history.queries import Queries
from duey.monitor.history.queries.views import Names
from duey.monitor.history.values import Used

ATTEMPTS, LARGEST = 1_000, 3
MERGED = 100  # tasks in one statement; SQLite merges at most 500
OF_A_LIST = 100  # attempts of each task, where all tasks are listed
# The last ones that were done, whether they were measured or not, so that a task of short jobs is not searched through.
READ = f"""SELECT id, finished_at, cpu_ms, peak_bytes FROM (
    SELECT id, finished_at, cpu_ms, peak_bytes FROM jobs WHERE task = ? AND state = 'done' ORDER BY n DESC
    LIMIT {ATTEMPTS}) AS last WHERE cpu_ms IS NOT NULL"""

PEAK = f"""SELECT {{}}, MAX(peak_bytes) FROM (
    SELECT peak_bytes FROM jobs WHERE task = ? AND state = 'done' ORDER BY n DESC LIMIT {OF_A_LIST}) AS last"""


class Usages(Queries):
    """Reads what attempts used."""

    def used(self, name: str) -> Used | None:
        """Return what the last attempts of a task (by short or full name) used that were done; None if none of them was
        measured."""
        with self._database.reading() as db:
            (task, *_) = Names(db).find(name)
            rows = db.execute_sql(READ, (task,)).fetchall()
        if not rows:
            return None
        cpu = sorted(row[2] for row in rows)
        peaks = sorted(row[3] for row in rows if row[3] is not None)
        largest = sorted((row for row in rows if row[3] is not None), key=lambda row: -row[3])[:LARGEST]
        return Used(
            len(rows), _p95(cpu), cpu[-1], _whole(_p95(peaks)), peaks[-1] if peaks else None,
            tuple((row[0], row[1], row[3]) for row in largest),
        )  # fmt: skip

    def peaks(self, tasks: Iterable[str]) -> dict[str, int]:
        """Return the most memory in bytes that the last 100 attempts used that were done, for each of these tasks (by
        full name) of which it is known."""
        names, found = list(tasks), dict[str, int]()
        with self._database.reading() as db:
            for some in (names[i : i + MERGED] for i in range(0, len(names), MERGED)):
                sql = " UNION ALL ".join(PEAK.format(n) for n in range(len(some)))
                found |= {some[n]: peak for n, peak in db.execute_sql(sql, some).fetchall() if peak is not None}
        return found


def _p95(values: Sequence[float]) -> float | None:
    """The p95 of sorted values."""
    return values[math.ceil(0.95 * len(values)) - 1] if values else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
