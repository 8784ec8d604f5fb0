"""Schedules and their slots on SQLite. Each due time is handled once, by whichever consumer is first.

The transaction of `fire` holds the new `last` of each schedule, the row of each slot, and the jobs. It applies to a
schedule only if the schedule has not changed since the caller read it. So there is one job for each slot, with any
number of consumers and restarts, and when the clock is set. If the process dies before the commit, the next look finds
the same slots due.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence

from duey import clock, errors
from duey.model.job import JobRecord
from duey.model.schedule import (
    DEFERRED,
    FULL,
    GAP_S,
    GAPS_KEPT,
    KEPT,
    KEY_HELD,
    MISSED,
    QUEUE_BEHIND,
    SKIP_IF_RUNNING,
    SKIPPED,
    STILL_GOING,
    WAITING,
    WAITING_MAX,
    Gap,
    OccurrenceRow,
    ScheduleRow,
    Tick,
)
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.steps import insert

ROWS = """select name, source, spec, paused, last, since,
    (select min(at) from slots where schedule = name and outcome = 'waiting'),
    (select count(*) from slots where schedule = name and outcome = 'waiting') from schedules
    where ?1 is null or name = ?1 order by name"""
SLOTS = """select s.schedule, s.at, s.outcome, s.job_id, s.reason, s.noted_at,
    case when j.seq is null then null else coalesce(e.state, 'unfinished') end
    from slots s left join jobs j on j.id = s.job_id left join finished e on e.seq = j.seq
    where s.schedule = ? and s.at <= ? order by s.at desc limit ?"""
UNFINISHED = """select j.id from slots s cross join jobs j on j.id = s.job_id
    where s.schedule = ? and s.job_id is not null and not exists (select 1 from finished e where e.seq = j.seq)
    order by s.at desc limit 1"""
WAITS = """select slots.* from slots join schedules on name = schedule
    where schedule = ? and outcome = 'waiting' and not paused order by at limit 1"""
FORGET = """delete from slots where schedule = :name and outcome != 'waiting' and at <
    (select at from slots where schedule = :name and at <= :last order by at desc limit 1 offset :kept - 1)
    and not exists (select 1 from jobs j where j.id = job_id and not exists (select 1 from finished e where e.seq =
    j.seq)) and at is not (select at from slots where schedule = :name and job_id is not null and at <= :last
        order by at desc limit 1)"""


def fire(con: sqlite3.Connection, tick: Tick) -> list[str] | None:
    """Record the slots of one schedule. Returns the ids of the accepted jobs, None if the schedule has changed."""
    row = tick.row
    changed = con.execute(
        "update schedules set last = ? where name = ? and last = ? and paused = ?",
        (tick.new_last, row.name, row.last, row.paused),
    )
    if changed.rowcount != 1:
        return None
    by_id = {job.id: job for job in tick.jobs}
    accepted = []
    for given in tick.slots:
        slot, noted = decided(con, given), outcome_of(con, given.schedule, given.at)
        if noted is not None and (noted != MISSED or slot.outcome == MISSED):
            continue
        if slot.outcome == DEFERRED and slot.job_id is not None:
            slot, fresh = brought_to_life(con, slot, by_id[slot.job_id])
            accepted += [slot.job_id] if fresh and slot.job_id else []
        note(con, slot)
    con.execute(FORGET, {"name": row.name, "last": tick.new_last, "kept": KEPT})
    return accepted


def note(con: sqlite3.Connection, slot: OccurrenceRow) -> None:
    """Store a slot, and overwrite an earlier row."""
    con.execute("insert or replace into slots values (?, ?, ?, ?, ?, ?)", slot)


def outcome_of(con: sqlite3.Connection, name: str, at: float) -> str | None:
    """The stored outcome of a slot, or None."""
    row = con.execute("select outcome from slots where schedule = ? and at = ?", (name, at)).fetchone()
    return row[0] if row else None


def brought_to_life(con: sqlite3.Connection, slot: OccurrenceRow, job: JobRecord) -> tuple[OccurrenceRow, bool]:
    """Accept the job of a slot. Returns the slot, and whether the job is new. Skipped if the job's unique key is
    held."""
    if con.execute("select 1 from jobs where id = ?", (job.id,)).fetchone():
        return slot._replace(outcome=DEFERRED, job_id=job.id), False
    answer = insert.insert(con, job)
    if answer.id != job.id:
        return slot._replace(outcome=SKIPPED, job_id=None, reason=KEY_HELD % answer.id), False
    return slot._replace(outcome=DEFERRED, job_id=job.id), True


def decided(con: sqlite3.Connection, slot: OccurrenceRow) -> OccurrenceRow:
    """The slot with its outcome, if that depends on whether earlier runs have ended."""
    if slot.outcome not in (SKIP_IF_RUNNING, QUEUE_BEHIND):
        return slot
    before = unfinished(con, slot.schedule)
    if slot.outcome == QUEUE_BEHIND:
        count = waiting(con, slot.schedule)
        if count >= WAITING_MAX:
            return slot._replace(outcome=SKIPPED, job_id=None, reason=FULL)
        if before or count:
            return slot._replace(outcome=WAITING, job_id=None)
    elif before:
        return slot._replace(outcome=SKIPPED, job_id=None, reason=STILL_GOING % before)
    return slot._replace(outcome=DEFERRED)


def waiting(con: sqlite3.Connection, name: str) -> int:
    """How many slots wait for the previous run to end."""
    found = con.execute("select count(*) from slots where schedule = ? and outcome = 'waiting'", (name,))
    return int(found.fetchone()[0])


def unfinished(con: sqlite3.Connection, name: str) -> str | None:
    """The id of the newest unfinished job of the schedule, or None."""
    row = con.execute(UNFINISHED, (name,)).fetchone()
    return row[0] if row else None


class SqliteScheduleStore:
    """duey.model.schedule.ScheduleStore in the queue's file. `wake(n)` wakes workers for n jobs."""

    def __init__(self, db: Database, wake: Callable[[int], None]) -> None:
        self._db, self._wake = db, wake

    def schedules(self, name: str | None = None) -> list[ScheduleRow]:
        with self._db.read() as con:
            return [ScheduleRow._make(row)._replace(paused=bool(row[3])) for row in con.execute(ROWS, (name,))]

    def add(self, row: ScheduleRow) -> bool:
        with self._db.write("synced") as con:
            return con.execute("insert or ignore into schedules values (?, ?, ?, ?, ?, ?)", row[:6]).rowcount == 1

    def replace(self, seen: ScheduleRow, spec: str, last: float) -> bool:
        change = "update schedules set spec = ?, last = ? where name = ? and spec = ? and last = ?"
        with self._db.write("synced") as con:
            return con.execute(change, (spec, last, seen.name, seen.spec, seen.last)).rowcount == 1

    def remove(self, name: str) -> bool:
        with self._db.write("synced") as con:
            con.execute("delete from slots where schedule = ?", (name,))
            return con.execute("delete from schedules where name = ?", (name,)).rowcount == 1

    def rename(self, name: str, new: str) -> bool:
        change = (
            "update schedules set name = ?2 where name = ?1 and not exists (select 1 from schedules where name = ?2)"
        )
        with self._db.write("synced") as con:
            if con.execute(change, (name, new)).rowcount != 1:
                return False
            con.execute("update or replace slots set schedule = ? where schedule = ?", (new, name))
            return True

    def pause(self, name: str, paused: bool) -> bool:
        with self._db.write("synced") as con:
            return con.execute("update schedules set paused = ? where name = ?", (paused, name)).rowcount == 1

    def fire(self, ticks: Sequence[Tick]) -> Mapping[str, Collection[str]]:
        # Without jobs nothing was promised: rows that a power cut undoes are written again.
        role = "synced" if any(tick.jobs for tick in ticks) else "relaxed"
        with self._db.write(role, "fire") as con:
            answers = {tick.row.name: fire(con, tick) for tick in ticks}
        done = {name: ids for name, ids in answers.items() if ids is not None}
        self._wake(sum(map(len, done.values())))
        return done

    def release(self, name: str, at: float, job: JobRecord | None, reason: str | None = None) -> bool:
        with self._db.write("synced", "fire") as con:
            first = con.execute(WAITS, (name,)).fetchone()
            if first is None or first[1] != at or unfinished(con, name):
                return False
            slot, fresh = OccurrenceRow._make(first)._replace(outcome=MISSED, reason=reason), False
            if job is not None:
                slot, fresh = brought_to_life(con, OccurrenceRow._make(first), job)
            note(con, slot)
        self._wake(int(fresh))
        return fresh

    def run_now(self, slot: OccurrenceRow, job: JobRecord) -> bool:
        with self._db.write("synced") as con:
            if outcome_of(con, slot.schedule, slot.at) not in (None, MISSED, SKIPPED):
                return False
            noted, fresh = brought_to_life(con, slot, job)
            if not fresh:
                raise errors.UniqueConflict(job.unique_key or job.id, str(noted.reason).rpartition(" ")[2])
            note(con, noted)
        self._wake(1)
        return True

    def slots_of(self, name: str, limit: int, until: float = math.inf) -> list[tuple[OccurrenceRow, str | None]]:
        with self._db.read() as con:
            return [(OccurrenceRow._make(row[:6]), row[6]) for row in con.execute(SLOTS, (name, until, limit))]

    def note_alive(self, now: float, why: str) -> float | None:
        with self._db.write("relaxed") as con:
            row = con.execute("select value from meta where key = 'scheduler'").fetchone()
            before = float(row[0]) if row else None
            con.execute("insert or replace into meta values ('scheduler', ?)", (now,))
            if before is not None and now - before > GAP_S:
                gaps = [*read_gaps(con), Gap(before, now, why)][-GAPS_KEPT:]
                con.execute("insert or replace into meta values ('gaps', ?)", (json.dumps(gaps),))
        return before

    def noted_s(self) -> float | None:
        with self._db.read() as con:
            row = con.execute("select value from meta where key = 'scheduler'").fetchone()
        return max(0.0, clock.now() - float(row[0])) if row else None

    def gaps(self) -> list[Gap]:
        with self._db.read() as con:
            return read_gaps(con)


def read_gaps(con: sqlite3.Connection) -> list[Gap]:
    """The stored gaps."""
    row = con.execute("select value from meta where key = 'gaps'").fetchone()
    return [Gap._make(gap) for gap in json.loads(row[0])] if row else []
