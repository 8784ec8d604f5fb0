"""The outbox: events that the history reads, in order, and compaction if it does not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from duey import clock
from duey.model.event import COUNTED, DONE, ENQUEUED, Event, OutboxLost, OutboxOwner
from duey.model.job import JobRecord
from duey.storage.compaction import STEP, Pair, Seen, tally
from duey.storage.contract import Outbox
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.connection.schema import EVENT, RECORD, manual_token
from duey.storage.sqlite.queries import FIELDS
from duey.storage.values import EventRow

BIG = 1_000_000  # larger payloads and results are not shown (bytes)
PAYLOAD = f"""case when (v.kind in ('enqueued', 'retried') or e.result is not null and v.kind = 'done')
    and length(j.payload) < {BIG} then j.payload else x'' end"""
EVENTS = f"""select {RECORD.replace("j.payload", PAYLOAD)}, v.seq, v.kind, v.token, v.at, v.started_at, v.attempt,
    case when v.token > 0 then v.token >> 32 end, v.detail,
    case when v.kind = 'done' then case when length(e.result) < {BIG} then e.result end end
    from outbox v left join jobs j on j.seq = v.job left join finished e on e.seq = v.job order by v.seq limit ?"""
# The instant is compared too: if the numbers have started again meanwhile, newer events stay.
DELETE = "delete from outbox where seq <= ? and at <= ?"


class SqliteOutbox(Outbox):
    """A part of SqliteStorage."""

    db: Database

    def read_outbox(self, limit: int, term: int | None = None) -> list[EventRow]:
        with self.db.read() as con:
            if term is not None:
                _check(con, term)
            rows = con.execute(EVENTS, (limit,)).fetchall()
        return [EventRow._make((*row[FIELDS:], JobRecord._make(row[:FIELDS]) if row[0] else None)) for row in rows]

    def delete_events(self, events: Sequence[Event | EventRow], term: int = 0) -> None:
        """Also those before and between them whose jobs were removed."""
        if events:
            with self.db.write("relaxed") as con:
                _check(con, term)
                con.execute(DELETE, (events[-1].seq, max(e.at for e in events)))

    def own_outbox(self, history: str, where: str, take_over: bool = False) -> OutboxOwner:
        with self.db.write("relaxed") as con:
            now, owner = clock.now(), _owner(con) or OutboxOwner(history, "", 0, 0.0)
            is_known = (owner.history, owner.where) == (history, where)
            is_free = owner.history == history and owner.is_silent(now)
            if is_known or is_free or take_over:
                owner = OutboxOwner(history, where, owner.term + (not is_known), now)
                _write(con, owner)
        return owner

    def leave_outbox(self, term: int) -> None:
        with self.db.write("relaxed") as con:
            owner = _owner(con)
            if owner is not None and owner.term == term:
                _write(con, owner._replace(at=0.0))

    def outbox_owner(self) -> OutboxOwner | None:
        with self.db.read() as con:
            return _owner(con)


def _owner(con: sqlite3.Connection) -> OutboxOwner | None:
    row = con.execute("select value from meta where key = 'outbox_owner'").fetchone()
    return None if row is None else OutboxOwner(*json.loads(row[0]))


def _write(con: sqlite3.Connection, owner: OutboxOwner) -> None:
    con.execute("replace into meta values ('outbox_owner', ?)", (json.dumps(owner),))


def _check(con: sqlite3.Connection, term: int) -> None:
    """Raise OutboxLost unless the owner has this term."""
    owner = _owner(con)
    if term != (owner.term if owner else 0):
        raise OutboxLost


DROP = "delete from outbox where seq in (select seq from outbox order by seq limit ? offset ?)"
HEAD = "select seq from outbox order by seq limit 1 offset ?"
# A detail that holds only what the attempt used is two numbers, and has a single comma.
LOOK = """select seq, job, kind, attempt = 1 and started_at is not null
    and (detail is null or detail like '{"usage":%' and detail not like '%,%,%') from outbox
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

    def drop(self, most: int, untouched: int) -> int:
        with self._db.write("relaxed") as con:
            return con.execute(DROP, (most, untouched)).rowcount
