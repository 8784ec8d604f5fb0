"""Removes what has expired and compacts unread events, in small steps that never hold the write lock for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from duey.model.event import COUNTED, DONE, ENQUEUED
from duey.storage.compaction import STEP, Pair, Seen, tally
from duey.storage.sqlite import commands
from duey.storage.sqlite.database import Database
from duey.storage.sqlite.schema import EVENT, manual_token

KEY_LIFE_S = 24 * 3600.0
# Events are read in order: whatever happened before the oldest unread one has been read.
READ_BEFORE = """select seq from finished where gone_at <= ?
    and finished_at < coalesce((select at from outbox order by seq limit 1), 1e300) limit ?"""
# Also jobs whose events were compacted (duey.storage.compaction) although older events are unread. Reads all events.
READ_OF = "select seq from finished where gone_at <= ? and seq not in (select job from outbox) limit ?"
STILL_EXPIRED = "select 1 from finished where seq = ? and gone_at <= ?"
LOOK_AGAIN_S = 60.0  # until that expensive query is repeated, if it found nothing
MANY_STEPS = 50  # steps for which it fetches rows


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
        with self._db.write("relaxed") as con:
            commands.drop(con, [row for row in some if con.execute(STILL_EXPIRED, (*row, now)).fetchone()])
            for table, column, bound in (
                ("idempotency", "at", now - KEY_LIFE_S), ("kv", "expires_at", now), ("unique_locks", "until", now),
            ):  # fmt: skip
                if con.execute(f"select 1 from {table} where {column} <= ? limit 1", (bound,)).fetchone():
                    con.execute(f"delete from {table} where {column} <= ?", (bound,))
        return len(some) == limit

    def _look(self, now: float, limit: int) -> None:
        with self._db.read() as con:  # reading blocks no writer
            self._found = con.execute(READ_BEFORE, (now, limit)).fetchall()
            if not self._found and now >= self._look_again_at:
                if con.execute("select 1 from finished where gone_at <= ? limit 1", (now,)).fetchone():
                    self._found = con.execute(READ_OF, (now, limit * MANY_STEPS)).fetchall()
                self._look_again_at = 0.0 if self._found else now + LOOK_AGAIN_S


def unknown_before(con: sqlite3.Connection, instant: float) -> list[str]:
    """The ids of some jobs that were set aside before the instant because no consumer knew their task."""
    rows = con.execute(
        "select id from blocked join jobs using (seq) where kind = 'unknown' and at <= ? limit 100", (instant,)
    )
    return [job_id for (job_id,) in rows]


def empty(con: sqlite3.Connection, place: str) -> None:
    """Remove every job that is in one place (for Huey's flush)."""
    con.execute(f"delete from unique_locks where seq in (select seq from {place})")
    con.execute(f"delete from outbox where job in (select seq from {place})")
    con.execute(f"delete from chord_parts where cid in (select chord from jobs where seq in (select seq from {place}))")
    for table in ("progress", "checkpoints"):
        con.execute(f"delete from {table} where seq in (select seq from {place})")
    con.execute(f"delete from jobs where seq in (select seq from {place})")
    con.execute(f"delete from {place}")


def forget_ended(con: sqlite3.Connection) -> None:
    """Remove every ended job and every stored value (for Huey's flush_results). Revocations and locks are kept."""
    con.execute("delete from outbox where job in (select seq from finished)")
    commands.drop(con, con.execute("select seq from finished").fetchall())
    con.execute("delete from kv")


HEAD = "select seq from outbox order by seq limit 1 offset ?"
LOOK = """select seq, job, kind, attempt = 1 and started_at is not null and detail is null from outbox
    where seq >= ? and seq > ? order by seq limit ?"""
BOTH = """select j.task, max(a.at, coalesce(j.eta, 0)), b.started_at, b.at
    from outbox a join outbox b on b.job = a.job and b.seq = ? and b.kind = ? join jobs j on j.seq = a.job
    where a.seq = ? and a.kind = ?"""


class SqliteBacklog:
    """The events of one file."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def count(self) -> int:
        with self._db.read() as con:
            return int(con.execute("select count(*) from outbox").fetchone()[0])

    def read_after(self, after: int, untouched: int) -> Sequence[Seen]:
        with self._db.read() as con:
            head = con.execute(HEAD, (untouched,)).fetchone()
            rows = con.execute(LOOK, (head[0], after, STEP)).fetchall() if head else []
        return [Seen(seq, job, kind, bool(is_plain)) for seq, job, kind, is_plain in rows]

    def compact(self, pairs: Sequence[Pair], untouched: int) -> int:
        with self._db.write("relaxed") as con:
            head = con.execute(HEAD, (untouched,)).fetchone()
            jobs, gone = [], []
            for pair in pairs if head else ():
                if pair.first < head[0]:
                    continue
                row = con.execute(BOTH, (pair.last, DONE, pair.first, ENQUEUED)).fetchone()
                if row is not None:
                    jobs.append(row)
                    gone += [(pair.first,), (pair.last,)]
            con.executemany("delete from outbox where seq = ?", gone)
            con.executemany(
                EVENT,
                [(0, COUNTED, manual_token(con), each.at, None, 0, each.as_detail()) for each in tally(jobs)],
            )
        return len(jobs)
