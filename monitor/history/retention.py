"""Retention: what the history lets go, in steps so small that nobody waits for the write lock noticeably.

What goes: ended jobs older than `retention_days` (failed ones: `keep_failed_days`, if that is longer), and the oldest
ended ones above `retention_rows` (failed ones last of all). Where a task says `keep_for`, that is how long its jobs
are kept instead, failed ones excepted; only too many rows shorten it. Also: figures by the minute after 48 hours, by
hour and day after a year; error groups that were not seen for as long as failed jobs are kept. What stays: every job
that has not ended, and the last 100 ended ones of each task without a `keep_for`, however old and however many others
there are.

A pass walks the ended jobs from the oldest on, state by state. While more come than may stay, each pass goes on where
the one before ended, so that what must stay is looked at once a minute. `step` does some of a pass. Room that became
free is used again, and given back to the disk when it is much.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from duey.model.job import CANCELED, DONE, EXPIRED, FAILED
from duey.monitor.history.database import Database
from duey.monitor.history.schema import DAY_S, HOUR_S, MINUTE_S
from duey.monitor.history.values import Pruned
from duey.monitor.history.writing import ADD_MARK

KEPT_OF_EACH_TASK = 100
CHUNK = 500  # jobs in one transaction: it lasts some 15 ms
PASS_S = 60.0
KEPT_OF_TIER_S = {MINUTE_S: 48 * HOUR_S, HOUR_S: 366 * DAY_S, DAY_S: 366 * DAY_S}
KEPT_HOURS_S = 8 * DAY_S
VACUUM_PAGES = 256
MANY_FREE_PAGES, MUCH_FREE = 1000, 0.25

OLDEST = "SELECT n, task, enqueued_at, finished_at, keep_s FROM jobs WHERE state = ? AND n > ? ORDER BY n LIMIT ?"
NEWEST = "SELECT n FROM jobs WHERE task = ? AND state = ? ORDER BY n DESC LIMIT ?"
TOLD = """SELECT n FROM jobs WHERE keep_s IS NOT NULL AND finished_at + keep_s < ?
    AND state IN ('done', 'canceled', 'expired') LIMIT ?"""
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
    """For one thread. All but the properties may raise HistoryUnavailable; what was removed until then stays
    removed."""

    def __init__(self, database: Database, settings: RetentionSettings, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        self._max_rows = settings.retention_rows
        self._keep_s = settings.retention_days * DAY_S
        self._keep_failed_s = max(settings.retention_days, settings.keep_failed_days) * DAY_S
        self._rows = 0  # as far as is known here
        self._walk: Iterator[int] | None = None
        self._began_at = -PASS_S
        self._fronts: dict[str, int] = {}
        self._floors: dict[str, int] = {}
        self._stale: set[str] = set()

    @property
    def is_pressed(self) -> bool:
        """Whether there are more jobs than there should be."""
        return self._rows > self._max_rows

    def note_recorded(self, jobs: int) -> None:
        """So many jobs are new in the history."""
        self._rows += jobs

    def step(self, give_up_at: float) -> bool:
        """Go on until `give_up_at` (of time.monotonic); True when the pass is not at its end."""
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

    def prune(self) -> Pruned:
        """A whole pass, and all free room given back to the disk."""
        self._began_at = -PASS_S
        jobs = sum(self._let_jobs_go())
        figures, groups = self._let_figures_go(), self._let_groups_go()
        while self._vacuum():
            pass
        with self._database.reading() as db:
            db.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return Pruned(jobs, figures, groups)

    # a pass: yields after each small transaction

    def _pass(self) -> Iterator[int]:
        yield from self._let_jobs_go()
        yield self._let_figures_go()
        yield self._let_groups_go()
        while self._much_is_free() and self._vacuum():
            yield 0

    def _let_jobs_go(self) -> Iterator[int]:
        if time.monotonic() - self._began_at >= PASS_S:
            self._began_at, self._fronts, self._floors = time.monotonic(), {}, {}
            now = self._clock()
            yield from self._let_told_go(now)
            for state in (*PLAIN_ENDS, FAILED):
                yield from self._let_old_go(state, now - (self._keep_failed_s if state == FAILED else self._keep_s))
        with self._database.reading() as db:
            row = db.execute_sql(ROWS).fetchone()
        self._rows = int(row[0]) if row else 0
        self._stale = set(self._floors)
        for states in (PLAIN_ENDS, (FAILED,)):
            while self._rows > self._max_rows:
                gone = self._let_oldest_go(states, self._rows - self._max_rows)
                if gone is None:
                    break
                yield gone

    def _let_told_go(self, now: float) -> Iterator[int]:
        """Remove what was kept for as long as its task says."""
        while True:
            with self._database.reading() as db:
                numbers = [row[0] for row in db.execute_sql(TOLD, (now, CHUNK))]
            if not numbers:
                return
            yield self._delete(numbers)

    def _let_old_go(self, state: str, before: float) -> Iterator[int]:
        """Remove what ended before the instant."""
        front, is_failed = 0, state == FAILED
        while True:
            rows = self._oldest(state, front, CHUNK)
            old = [(n, task) for n, task, _, ended, keep_s in rows if ended < before and (keep_s is None or is_failed)]
            yield self._delete([n for n, task in old if self._may_go(n, task)])
            # Jobs were accepted in the order of n, and none ends before that.
            if len(rows) < CHUNK or rows[-1][2] >= before:
                return
            front = rows[-1][0]

    def _let_oldest_go(self, states: Sequence[str], count: int) -> int | None:
        """Remove some of the oldest of these states, whatever their age; None when nothing more may go."""
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
        """Whether a job is not one of the last of its task."""
        # Their beginning only rises: an old one is safe, and is computed anew only where it says no.
        if n < self._floors.get(task, 0):
            return True
        if task not in self._floors or task in self._stale:
            self._floors[task] = self._floor(task)
            self._stale.discard(task)
        return n < self._floors[task]

    def _floor(self, task: str) -> int:
        """The number from which on the jobs of a task stay."""
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

    # all else

    def _let_figures_go(self) -> int:
        now = self._clock()
        with self._database.writing() as db:
            return sum(
                db.execute_sql("DELETE FROM figures WHERE tier_s = ? AND at < ?", (tier_s, now - kept_s)).rowcount
                for tier_s, kept_s in KEPT_OF_TIER_S.items()
            )

    def _let_groups_go(self) -> int:
        now = self._clock()
        with self._database.writing() as db:
            db.execute_sql("DELETE FROM error_hours WHERE at < ?", (now - KEPT_HOURS_S,))
            db.execute_sql("DELETE FROM entries WHERE job = 0 AND at < ?", (now - self._keep_failed_s,))
            db.execute_sql("DELETE FROM slots WHERE at < ?", (now - self._keep_s,))
            db.execute_sql("DELETE FROM visits WHERE seen_at < ?", (now - 366 * DAY_S,))
            cursor = db.execute_sql("DELETE FROM error_groups WHERE last_seen < ?", (now - self._keep_failed_s,))
            return int(cursor.rowcount)

    def _much_is_free(self) -> bool:
        with self._database.reading() as db:
            free, all_pages = (int(db.pragma(name)) for name in ("freelist_count", "page_count"))
        return free > max(MANY_FREE_PAGES, MUCH_FREE * all_pages)

    def _vacuum(self) -> bool:
        """Give some free pages back to the disk; whether there are more."""
        with self._database.reading() as db:
            # As a script: each page is a step, and execute() takes but one of a statement without columns.
            db.connection().executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
            return int(db.pragma("freelist_count")) > 0
