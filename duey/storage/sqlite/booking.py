"""Reads events for the history, each joined with the row of its job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duey.model.event import COUNTED, Event
from duey.storage.contract import EventRow
from duey.storage.sqlite.database import Database

BIG = 1_000_000  # larger payloads and results are not shown (bytes)
EVENTS = f"""select v.seq, v.kind, v.token, v.at, v.started_at, v.attempt,
    case when v.token > 0 then v.token >> 32 end, v.detail, coalesce(j.id, ''),
    j.task, j.queue, j.priority, j.enqueued_at, j.eta, j.expires_at, j.retries, j.parent, j.by, j.context, j.chord,
    case when v.kind in ('enqueued', 'retried')
         then case when length(j.payload) < {BIG} then j.payload else x'' end end,
    case when v.kind = 'done' then case when length(e.result) < {BIG} then e.result end end
    from events v left join jobs j on j.seq = v.job left join ended e on e.seq = v.job order by v.seq limit ?"""
# The instant is compared too: if the numbers have started again meanwhile, newer events stay.
DELETE = "delete from events where seq <= ? and at <= ?"


def read(db: Database, limit: int, compose: Any) -> list[Event]:
    """The oldest events in order, in their display form. `compose` decodes and redacts."""
    while True:
        with db.read() as con:
            rows = list(map(EventRow._make, con.execute(EVENTS, (limit,)).fetchall()))
        found = [compose.event(row) for row in rows if row.job_id or row.kind == COUNTED]
        if found or not rows:
            return found
        delete(db, rows)  # their jobs were removed


def delete(db: Database, events: Sequence[Event | EventRow]) -> None:
    """Remove events that were read, and those before and between them whose jobs were removed."""
    if events:
        with db.write("work") as con:
            con.execute(DELETE, (events[-1].seq, max(e.at for e in events)))
