"""Removes what has expired, in small steps that never hold the write lock for long."""

from __future__ import annotations

import sqlite3
from typing import Any

from duey import errors
from duey.model.job import FAILED
from duey.storage.sqlite import commands, settle
from duey.storage.sqlite.database import Database

KEY_LIFE_S = 24 * 3600.0
# Events are read in order: whatever happened before the oldest unread one has been read.
READ_BEFORE = """select seq from ended where gone_at <= ?
    and finished_at < coalesce((select at from events order by seq limit 1), 1e300) limit ?"""
# Also jobs whose events were compacted (duey.storage.compaction) although older events are unread. Reads all events.
READ_OF = "select seq from ended where gone_at <= ? and seq not in (select job from events) limit ?"
STILL_EXPIRED = "select 1 from ended where seq = ? and gone_at <= ?"
LOOK_AGAIN_S = 60.0  # until that expensive query is repeated, if it found nothing
MANY_STEPS = 50  # steps for which it fetches rows
UNKNOWN_TASK_S = 24 * 3600.0  # how long a job waits whose task no consumer knows


class Expiry:
    """Removes what has expired. A job is removed only after its events were read. For one thread."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._found: list[tuple[int]] = []
        self._look_again_at = 0.0

    def step(self, now: float, limit: int) -> bool:
        """Remove at most `limit` jobs, and other expired rows. True if there may be more."""
        if not self._found:
            self._look(now, limit)
        some, self._found = self._found[:limit], self._found[limit:]
        with self._db.write("work") as con:
            commands.drop(con, [row for row in some if con.execute(STILL_EXPIRED, (*row, now)).fetchone()])
            for table, column, bound in (
                ("idempotency", "at", now - KEY_LIFE_S), ("kv", "expires_at", now), ("keys", "until", now),
            ):  # fmt: skip
                if con.execute(f"select 1 from {table} where {column} <= ? limit 1", (bound,)).fetchone():
                    con.execute(f"delete from {table} where {column} <= ?", (bound,))
        return len(some) == limit

    def _look(self, now: float, limit: int) -> None:
        with self._db.read() as con:  # reading blocks no writer
            self._found = con.execute(READ_BEFORE, (now, limit)).fetchall()
            if not self._found and now >= self._look_again_at:
                if con.execute("select 1 from ended where gone_at <= ? limit 1", (now,)).fetchone():
                    self._found = con.execute(READ_OF, (now, limit * MANY_STEPS)).fetchall()
                self._look_again_at = 0.0 if self._found else now + LOOK_AGAIN_S


def fail_unknown(con: sqlite3.Connection, now: float, compose: Any, ttl_s: float) -> int:
    """Fail jobs that have waited for a day because no consumer knows their task. Returns how many."""
    rows = con.execute(
        "select seq, id from parked join jobs using (seq) where kind = 'unknown' and at <= ? limit 100",
        (now - UNKNOWN_TASK_S,),
    ).fetchall()
    for _, job_id in rows:
        job, _ = commands.find(con, job_id)
        claim = commands.claim_for_verb(con, job)
        settle.settle(con, [compose.end(claim, FAILED, errors.TaskUnknown(claim.task))], ttl_s, ttl_s)
    return len(rows)


def empty(con: sqlite3.Connection, place: str) -> None:
    """Remove every job that is in one place (for Huey's flush)."""
    con.execute(f"delete from keys where seq in (select seq from {place})")
    con.execute(f"delete from events where job in (select seq from {place})")
    con.execute(f"delete from chord_parts where cid in (select chord from jobs where seq in (select seq from {place}))")
    for table in ("progress", "checkpoints"):
        con.execute(f"delete from {table} where seq in (select seq from {place})")
    con.execute(f"delete from jobs where seq in (select seq from {place})")
    con.execute(f"delete from {place}")


def forget_ended(con: sqlite3.Connection) -> None:
    """Remove every ended job and every stored value (for Huey's flush_results). Revocations and locks are kept."""
    con.execute("delete from events where job in (select seq from ended)")
    commands.drop(con, con.execute("select seq from ended").fetchall())
    con.execute("delete from kv")
