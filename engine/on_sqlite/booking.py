"""Reading the events for the books, each with what the job's own row adds to it."""

from __future__ import annotations

import sqlite3
from typing import Any

from engine.events import Event
from engine.job_storage import EventRow
from engine.on_sqlite import noting

EVENTS = """select v.seq, v.kind, v.token, v.at, v.started_at, v.attempt, v.token, v.detail, j.id, j.task, j.queue,
    j.priority, j.enqueued_at, j.eta, j.expires_at, j.retries, j.parent, j.context,
    case when v.kind in ('enqueued', 'retried') then j.payload end, case when v.kind = 'done' then e.result end
    from events v join jobs j on j.seq = v.job left join ended e on e.seq = v.job order by v.seq limit ?"""


def read(con: sqlite3.Connection, limit: int, compose: Any) -> list[Event]:
    """The oldest events, in order, redacted and in plain values (`compose` decodes and redacts)."""
    rows = (EventRow._make(row) for row in con.execute(EVENTS, (limit,)))
    return [compose.event(row._replace(worker=noting.worker_of(row.token))) for row in rows]
