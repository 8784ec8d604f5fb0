"""Compaction of the event backlog on SQLite: see duey.storage.compaction."""

from __future__ import annotations

from collections.abc import Sequence

from duey.model.event import COUNTED, DONE, ENQUEUED
from duey.storage.compaction import STEP, Pair, Seen, tally
from duey.storage.sqlite.database import Database
from duey.storage.sqlite.noting import EVENT, manual_token

HEAD = "select seq from events order by seq limit 1 offset ?"
LOOK = """select seq, job, kind, attempt = 1 and started_at is not null and detail is null from events
    where seq >= ? and seq > ? order by seq limit ?"""
BOTH = """select j.task, max(a.at, coalesce(j.eta, 0)), b.started_at, b.at
    from events a join events b on b.job = a.job and b.seq = ? and b.kind = ? join jobs j on j.seq = a.job
    where a.seq = ? and a.kind = ?"""


class SqliteBacklog:
    """The events of one file."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def count(self) -> int:
        with self._db.read() as con:
            return int(con.execute("select count(*) from events").fetchone()[0])

    def look(self, after: int, untouched: int) -> Sequence[Seen]:
        with self._db.read() as con:
            head = con.execute(HEAD, (untouched,)).fetchone()
            rows = con.execute(LOOK, (head[0], after, STEP)).fetchall() if head else []
        return [Seen(seq, job, kind, bool(is_plain)) for seq, job, kind, is_plain in rows]

    def fold(self, pairs: Sequence[Pair], untouched: int) -> int:
        with self._db.write("work") as con:
            head = con.execute(HEAD, (untouched,)).fetchone()
            jobs, gone = [], []
            for pair in pairs if head else ():
                if pair.first < head[0]:
                    continue
                row = con.execute(BOTH, (pair.last, DONE, pair.first, ENQUEUED)).fetchone()
                if row is not None:
                    jobs.append(row)
                    gone += [(pair.first,), (pair.last,)]
            con.executemany("delete from events where seq = ?", gone)
            con.executemany(
                EVENT,
                [(0, COUNTED, manual_token(con), each.at, None, 0, each.as_detail()) for each in tally(jobs)],
            )
        return len(jobs)
