"""Retention: deletes old data from the history, in transactions so small that no writer waits noticeably.

Deleted are ended jobs older than `retention_days` (failed ones: `keep_failed_days`, if that is longer), and the
oldest ended jobs if there are more than `retention_rows` (failed ones last). The `keep_for` of a task replaces
`retention_days` for its jobs that did not fail. Figures by minute are deleted after 48 hours, by hour and day after
a year, and error groups after the time for failed jobs. Always kept are jobs that have not ended, and the last 100
ended jobs of each task without a `keep_for`.

A pass goes through the ended jobs from the oldest, state by state. While there are too many rows, a pass continues
where the one before ended, so that jobs that must stay are checked only once a minute. `step` does part of a pass.
SQLite uses free space again; if there is a lot of it, it is returned to the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from duey.model.job import CANCELED, DONE, EXPIRED, FAILED
from duey.monitor.history.database import Database
from duey.monitor.history.recording.writing import ADD_MARK
from duey.monitor.history.schema import DAY_S, HOUR_S, MINUTE_S
from duey.monitor.history.values import Pruned

KEPT_OF_EACH_TASK = 100
CHUNK = 500  # jobs in one transaction, about 15 ms
PASS_S = 60.0
KEPT_OF_TIER_S = {MINUTE_S: 48 * HOUR_S, HOUR_S: 366 * DAY_S, DAY_S: 366 * DAY_S}
KEPT_HOURS_S = 31 * DAY_S
KEPT_SLOTS = 5000  # of each schedule, so that a frequent one does not push out the others'

OLDEST = "SELECT n, task, enqueued_at, finished_at, keep_s FROM jobs WHERE state = ? AND n > ? ORDER BY n LIMIT ?"
NEWEST = "SELECT n FROM jobs WHERE task = ? AND state = ? ORDER BY n DESC LIMIT ?"
KEPT_FOR_IS_OVER = """SELECT n FROM jobs WHERE keep_s IS NOT NULL AND finished_at + keep_s < ?
    AND state IN ('done', 'canceled', 'expired') LIMIT ?"""
SCHEDULES = """WITH RECURSIVE names(name) AS (SELECT MIN(schedule) FROM slots UNION ALL
    SELECT (SELECT MIN(schedule) FROM slots WHERE schedule > name) FROM names WHERE name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL"""  # DISTINCT would read each row
TOO_MANY_SLOTS = """DELETE FROM slots WHERE schedule = ? AND at <=
    (SELECT at FROM slots WHERE schedule = ? ORDER BY at DESC LIMIT 1 OFFSET ?)"""
ROWS = "SELECT value FROM marks WHERE name = 'jobs'"
PLAIN_ENDS = (DONE, CANCELED, EXPIRED)


class RetentionSettings(Protocol):
    @property
    def retention_days(self) -> float: ...
    @property
    def retention_rows(self) -> int: ...
    @property
    def keep_failed_days(self) -> float: ...


class Retention:
    """Deletes old data, in one thread. Methods may raise HistoryUnavailable; earlier deletions stay."""

    def __init__(self, database: Database, settings: RetentionSettings, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        self._max_rows = settings.retention_rows
        self._keep_s = settings.retention_days * DAY_S
        self._keep_failed_s = max(settings.retention_days, settings.keep_failed_days) * DAY_S
        self._rows = 0  # as far as this process knows
        self._walk: Iterator[int] | None = None
        self._began_at = -PASS_S
        self._fronts: dict[str, int] = {}
        self._floors: dict[str, int] = {}
        self._stale: set[str] = set()

    @property
    def is_pressed(self) -> bool:
        """Return whether there are more rows than `retention_rows`."""
        return self._rows > self._max_rows

    def note_recorded(self, jobs: int) -> None:
        """Add this number of new jobs to the known rows."""
        self._rows += jobs

    def step(self, give_up_at: float) -> bool:
        """Continue the pass until `give_up_at` (time.monotonic); return True if it is not finished."""
        if self._walk is None:
            self._walk = self._pass()
        try:
            for _ in self._walk:
                if time.monotonic() >= give_up_at:
                    return True
        except BaseException:
            self._walk = None
            raise
        self._walk = None
        return False

    def prune(self, progress: Callable[[int], None] = lambda jobs: None) -> Pruned:
        """Do a whole pass, and return all free space to the disk. `progress` gets the number of deleted jobs."""
        self._began_at, jobs = -PASS_S, 0
        for deleted in self._delete_jobs():
            jobs += deleted
            progress(jobs)
        figures, groups = self._delete_figures(), self._delete_groups()
        while self._database.free_space():
            pass
        self._database.free_log()
        return Pruned(jobs, figures, groups)

    # one pass; yields after each small transaction

    def _pass(self) -> Iterator[int]:
        yield from self._delete_jobs()
        yield self._delete_figures()
        yield self._delete_groups()
        while self._database.free_space(only_if_much=True):
            yield 0

    def _delete_jobs(self) -> Iterator[int]:
        if time.monotonic() - self._began_at >= PASS_S:
            self._began_at, self._fronts, self._floors = time.monotonic(), {}, {}
            now = self._clock()
            yield from self._delete_kept_for(now)
            for state in (*PLAIN_ENDS, FAILED):
                yield from self._delete_old(state, now - (self._keep_failed_s if state == FAILED else self._keep_s))
        with self._database.reading() as db:
            row = db.execute_sql(ROWS).fetchone()
        self._rows = int(row[0]) if row else 0
        self._stale = set(self._floors)
        for states in (PLAIN_ENDS, (FAILED,)):
            while self._rows > self._max_rows:
                gone = self._delete_oldest(states, self._rows - self._max_rows)
                if gone is None:
                    break
                yield gone

    def _delete_kept_for(self, now: float) -> Iterator[int]:
        """Delete jobs whose `keep_for` is over."""
        while True:
            with self._database.reading() as db:
                numbers = [row[0] for row in db.execute_sql(KEPT_FOR_IS_OVER, (now, CHUNK))]
            if not numbers:
                return
            yield self._delete(numbers)

    def _delete_old(self, state: str, before: float) -> Iterator[int]:
        """Delete jobs that ended before this time."""
        front, is_failed = 0, state == FAILED
        while True:
            rows = self._oldest(state, front, CHUNK)
            old = [(n, task) for n, task, _, ended, keep_s in rows if ended < before and (keep_s is None or is_failed)]
            yield self._delete([n for n, task in old if self._may_go(n, task)])
            # Jobs are ordered by acceptance, and no job ends before it was accepted.
            if len(rows) < CHUNK or rows[-1][2] >= before:
                return
            front = rows[-1][0]

    def _delete_oldest(self, states: Sequence[str], count: int) -> int | None:
        """Delete some of the oldest jobs in these states, whatever their age. Return None if none may be deleted."""
        limit = min(CHUNK, count)
        heads = {state: rows for state in states if (rows := self._oldest(state, self._fronts.get(state, 0), limit))}
        if not heads:
            return None
        state = min(heads, key=lambda state: heads[state][0][0])
        self._fronts[state] = heads[state][-1][0]
        return self._delete([n for n, task, *_ in heads[state] if self._may_go(n, task)])

    def _oldest(self, state: str, front: int, limit: int) -> list[tuple[int, str, float, float, float | None]]:
        with self._database.reading() as db:
            return list(db.execute_sql(OLDEST, (state, front, limit)).fetchall())

    def _may_go(self, n: int, task: str) -> bool:
        """Return whether a job may be deleted: it is not one of the last of its task."""
        # The limit only rises, so an old one never allows too much. It is computed again only if it says no.
        if n < self._floors.get(task, 0):
            return True
        if task not in self._floors or task in self._stale:
            self._floors[task] = self._floor(task)
            self._stale.discard(task)
        return n < self._floors[task]

    def _floor(self, task: str) -> int:
        """Return the smallest number of the jobs that are kept for a task."""
        newest: list[int] = []
        with self._database.reading() as db:
            for state in (*PLAIN_ENDS, FAILED):
                newest += [row[0] for row in db.execute_sql(NEWEST, (task, state, KEPT_OF_EACH_TASK))]
        newest.sort(reverse=True)
        return newest[KEPT_OF_EACH_TASK - 1] if len(newest) >= KEPT_OF_EACH_TASK else 0

    def _delete(self, numbers: Sequence[int]) -> int:
        if not numbers:
            return 0
        marks = ",".join("?" * len(numbers))
        with self._database.writing() as db:
            cursor = db.cursor()
            cursor.execute(f"DELETE FROM entries WHERE job IN ({marks})", numbers)
            count = cursor.execute(f"DELETE FROM jobs WHERE n IN ({marks})", numbers).rowcount
            cursor.executemany(ADD_MARK, [("jobs", -count), ("deleted", count)])
        self._rows -= count
        return int(count)

    # figures, groups

    def _delete_figures(self) -> int:
        now = self._clock()
        with self._database.writing() as db:
            return sum(
                db.execute_sql("DELETE FROM figures WHERE tier_s = ? AND at < ?", (tier_s, int(now - kept_s))).rowcount
                for tier_s, kept_s in KEPT_OF_TIER_S.items()
            )

    def _delete_groups(self) -> int:
        now = self._clock()
        with self._database.writing() as db:
            db.execute_sql("DELETE FROM error_hours WHERE at < ?", (int(now - KEPT_HOURS_S),))
            db.execute_sql("DELETE FROM entries WHERE job = 0 AND at < ?", (now - self._keep_failed_s,))
            db.execute_sql("DELETE FROM slots WHERE at < ?", (now - self._keep_s,))
            for (name,) in db.execute_sql(SCHEDULES).fetchall():
                db.execute_sql(TOO_MANY_SLOTS, (name, name, KEPT_SLOTS))
            db.execute_sql("DELETE FROM deploys WHERE at < ?", (now - 366 * DAY_S,))
            db.execute_sql("DELETE FROM visits WHERE seen_at < ?", (now - 366 * DAY_S,))
            cursor = db.execute_sql("DELETE FROM error_groups WHERE last_seen < ?", (now - self._keep_failed_s,))
            return int(cursor.rowcount)
