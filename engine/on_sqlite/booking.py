"""Reading the events for the books, each with what the job's own row adds to it."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from engine.events import DONE, ENQUEUED, Event
from engine.on_sqlite import turning

EVENTS = """select v.seq, v.kind, v.token, v.at, v.started_at, v.attempt, v.detail, j.id, j.task, j.queue, j.priority,
    j.enqueued_at, case when v.kind = 'enqueued' then j.payload end, case when v.kind = 'done' then e.result end
    from events v left join jobs j on j.seq = v.job left join ended e on e.seq = v.job order by v.seq limit ?"""


def read(con: sqlite3.Connection, limit: int, compose: Any) -> list[Event]:
    """The oldest events, in order, redacted and in plain values (`compose` decodes and redacts)."""
    found = []
    for row in con.execute(EVENTS, (limit,)):
        (
            seq,
            kind,
            token,
            at,
            started,
            attempt,
            detail,
            job_id,
            task,
            queue,
            priority,
            enqueued,
            payload,
            result,
        ) = row
        args, kwargs = compose.shown_call(task, payload) if kind == ENQUEUED and payload else (None, None)
        found.append(
            Event(
                seq, kind, job_id or "", token, at, task or "", queue or "", priority or 0.0, enqueued or at, attempt,
                started, turning.worker_of(token), args, kwargs,
                compose.shown_result(task, result) if kind == DONE and result is not None else None,
                json.loads(detail) if detail else {},
            )
        )  # fmt: skip
    return found
