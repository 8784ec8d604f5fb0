"""Reading the events for the books, each with what the job's own row adds to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from engine.events import Event
from engine.job_storage import EventRow

BIG = 1_000_000  # what has more bytes is not shown
EVENTS = f"""select v.seq, v.kind, v.token, v.at, v.started_at, v.attempt,
    case when v.token > 0 then v.token >> 32 end, v.detail, coalesce(j.id, ''),
    j.task, j.queue, j.priority, j.enqueued_at, j.eta, j.expires_at, j.retries, j.parent, j.context,
    case when v.kind in ('enqueued', 'retried')
         then case when length(j.payload) < {BIG} then j.payload else x'' end end,
    case when v.kind = 'done' then case when length(e.result) < {BIG} then e.result end end
    from events v left join jobs j on j.seq = v.job left join ended e on e.seq = v.job order by v.seq limit ?"""
# The instant as well: should the numbers have begun anew meanwhile, what came since stays.
DELETE = "delete from events where seq <= ? and at <= ?"


def read(con: sqlite3.Connection, limit: int) -> list[EventRow]:
    """The oldest events, in order; the id is empty where the job was removed since."""
    return list(map(EventRow._make, con.execute(EVENTS, (limit,)).fetchall()))


def delete(con: sqlite3.Connection, events: Sequence[Event | EventRow]) -> None:
    """Remove one or more events as they were read, with those before and between them of jobs that were removed."""
    con.execute(DELETE, (events[-1].seq, max(e.at for e in events)))
