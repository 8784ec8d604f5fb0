"""Schedules and their slots: each due time is dealt with once, whoever comes first.

The transaction of `fire` holds the schedule's new `last`, every slot's row, and the jobs. It happens only if `last` is
still what the caller saw, so any number of consumers, restarts and clock steps give one job a slot. If the process
dies before the commit, the next look finds the same slots due.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from engine.jobs import NewJob
from engine.ledger import ScheduleRow, SlotRow
from engine.on_sqlite import accepting
from engine.on_sqlite.database import Database

KEPT = 500  # slots of a schedule that are kept


def rows(con: sqlite3.Connection) -> list[ScheduleRow]:
    """Every schedule, by name."""
    found = con.execute("select name, source, spec, paused, last, since from schedules order by name")
    return [ScheduleRow._make(row)._replace(paused=bool(row[3])) for row in found]


def add(con: sqlite3.Connection, row: ScheduleRow, replace: bool) -> bool:
    """Keep a schedule; a known one gets the new spec if `replace` is set."""
    fresh = con.execute("insert or ignore into schedules values (?, ?, ?, ?, ?, ?)", row).rowcount == 1
    if not fresh and replace:
        con.execute("update schedules set spec = ?, last = ? where name = ?", (row.spec, row.last, row.name))
    return fresh or replace


def fire(
    con: sqlite3.Connection, name: str, last: float, new_last: float, slots: Sequence[SlotRow], jobs: Sequence[NewJob]
) -> bool:
    """Deal with slots, if nobody has yet."""
    changed = con.execute(
        "update schedules set last = ? where name = ? and last = ? and not paused", (new_last, name, last)
    )
    if changed.rowcount != 1:
        return False
    by_id = {job.id: job for job in jobs}
    for slot in slots:
        if slot.outcome == "overlap":
            before = unfinished(con, name)
            slot = slot._replace(outcome="deferred")
            if before:
                reason = f"the run before it (job {before}) had not ended"
                slot = slot._replace(outcome="skipped", job_id=None, reason=reason)
        if slot.outcome == "deferred" and slot.job_id in by_id:
            stored = accepting.insert(con, by_id[slot.job_id])
            if stored.id != slot.job_id:
                reason = f"its unique key is held by job {stored.id}"
                slot = slot._replace(outcome="skipped", job_id=None, reason=reason)
        con.execute("insert or ignore into slots values (?, ?, ?, ?, ?, ?)", slot)
    con.execute(
        "delete from slots where schedule = ? and at < (select at from slots where schedule = ? order by at desc "
        "limit 1 offset ?)",
        (name, name, KEPT),
    )
    return True


def unfinished(con: sqlite3.Connection, name: str) -> str | None:
    """The id of the schedule's last job, if it has not ended."""
    row = con.execute(
        "select j.id, e.seq from slots s join jobs j on j.id = s.job_id left join ended e on e.seq = j.seq "
        "where s.schedule = ? and s.job_id is not null order by s.at desc limit 1",
        (name,),
    ).fetchone()
    return row[0] if row and row[1] is None else None


def of(con: sqlite3.Connection, name: str, limit: int) -> list[tuple[SlotRow, str | None]]:
    """The newest slots with the state of their jobs (None: no job, or it is no longer here)."""
    found = con.execute(
        "select s.schedule, s.at, s.outcome, s.job_id, s.reason, s.noted_at, "
        "case when j.seq is null then null else coalesce(e.state, 'unfinished') end "
        "from slots s left join jobs j on j.id = s.job_id left join ended e on e.seq = j.seq "
        "where s.schedule = ? order by s.at desc limit ?",
        (name, limit),
    )
    return [(SlotRow._make(row[:6]), row[6]) for row in found]


def seen_alive(con: sqlite3.Connection, now: float) -> float | None:
    """Note that a scheduler lives; the note before."""
    row = con.execute("select value from meta where key = 'scheduler'").fetchone()
    con.execute("insert or replace into meta values ('scheduler', ?)", (now,))
    return float(row[0]) if row else None


class SqliteLedger:
    """engine.ledger.Ledger in the queue's file. `wake(n)` rings for n jobs."""

    def __init__(self, db: Database, wake: Callable[[int], None]) -> None:
        self._db, self._wake = db, wake

    def schedules(self) -> list[ScheduleRow]:
        with self._db.read() as con:
            return rows(con)

    def add(self, row: ScheduleRow, replace: bool = False) -> bool:
        with self._db.write("accept") as con:
            return add(con, row, replace)

    def remove(self, name: str) -> bool:
        with self._db.write("accept") as con:
            con.execute("delete from slots where schedule = ?", (name,))
            return con.execute("delete from schedules where name = ?", (name,)).rowcount == 1

    def pause(self, name: str, paused: bool) -> bool:
        with self._db.write("accept") as con:
            return con.execute("update schedules set paused = ? where name = ?", (paused, name)).rowcount == 1

    def fire(self, name: str, last: float, new_last: float, slots: Sequence[SlotRow], jobs: Sequence[NewJob]) -> bool:
        with self._db.write("accept") as con:
            done = fire(con, name, last, new_last, slots, jobs)
        if done and jobs:
            self._wake(len(jobs))
        return done

    def run_now(self, slot: SlotRow, job: NewJob) -> None:
        with self._db.write("accept") as con:
            con.execute("insert or replace into slots values (?, ?, ?, ?, ?, ?)", slot)
            accepting.insert(con, job)
        self._wake(1)

    def slots_of(self, name: str, limit: int) -> list[tuple[SlotRow, str | None]]:
        with self._db.read() as con:
            return of(con, name, limit)

    def seen_alive(self, now: float) -> float | None:
        with self._db.write("work") as con:
            return seen_alive(con, now)
