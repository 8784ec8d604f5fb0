"""Prepares the file, and removes what has expired in small steps that never hold the write lock for long."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from duey import clock, files
from duey.storage import live_files
from duey.storage.compaction import Backlog
from duey.storage.contract import Maintenance
from duey.storage.sqlite import commands, peek
from duey.storage.sqlite.connection import preflight
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.steps import policies
from duey.storage.values import KEY_LIFE_S
from duey.storage.wakeup import Notifier

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


class SqliteMaintenance(Maintenance):
    """A part of SqliteStorage."""

    db: Database
    notifier: Notifier
    expiry: Expiry
    backlog: Backlog
    folder: Path

    def prepare(self) -> list[str]:
        self.db.prepare()
        return self.warnings()

    def warnings(self) -> list[str]:
        return [*preflight.warnings(self.db.path), *peek.words_of_move(self.db.path)]

    def fence(self) -> str | None:
        return peek.fence_of(self.db.path)

    def problems(self) -> list[str]:
        moved = self.fence()
        return [*files.full(self.db.path), *([moved] if moved else [])]

    def unknown_before(self, instant: float) -> list[str]:
        query = "select id from blocked join jobs using (seq) where kind = 'unknown' and at <= ? limit 100"
        with self.db.read() as con:
            return [job_id for (job_id,) in con.execute(query, (instant,))]

    def run_maintenance(self, limit: int = 1000) -> bool:
        more = self.expiry.step(clock.now(), limit)
        with self.db.write("relaxed") as con:
            unblocked = policies.recheck(con)
        self.notifier.notify_workers(unblocked)
        self._remove_live_files()
        self.db.checkpoint()
        return self.backlog.relieve() or more

    def _remove_live_files(self) -> None:
        """Remove what bodies that have ended have shown of themselves."""
        found = live_files.older(self.folder)
        if found:
            with self.db.read() as con:
                held = {token for (token,) in con.execute("select token from claimed")}
            live_files.remove(self.folder, [each for each in found if each[0] not in held])

    # for Huey

    def flush_queue(self) -> None:
        self._flush("ready", "blocked")

    def flush_schedule(self) -> None:
        self._flush("scheduled")

    def _flush(self, *places: str) -> None:
        with self.db.write("synced") as con:
            for place in places:
                empty(con, place)

    def flush_results(self) -> None:
        """Remove every ended job and every stored value. Revocations and locks are kept."""
        with self.db.write("relaxed") as con:
            con.execute("delete from outbox where job in (select seq from finished)")
            commands.drop(con, con.execute("select seq from finished").fetchall())
            con.execute("delete from kv")

    def flush_counters(self) -> None:
        with self.db.write("relaxed") as con:
            con.execute("delete from counters")


def empty(con: sqlite3.Connection, place: str) -> None:
    """Remove every job that is in one place (for Huey's flush)."""
    con.execute(f"delete from unique_locks where seq in (select seq from {place})")
    con.execute(f"delete from outbox where job in (select seq from {place})")
    con.execute(f"delete from chord_parts where cid in (select chord from jobs where seq in (select seq from {place}))")
    for table in ("progress", "checkpoints"):
        con.execute(f"delete from {table} where seq in (select seq from {place})")
    con.execute(f"delete from jobs where seq in (select seq from {place})")
    con.execute(f"delete from {place}")
