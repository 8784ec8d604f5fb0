"""Reads events for the history, each joined with its job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from duey.model.event import COUNTED, DONE, Event
from duey.storage.contract import EventRow
from duey.storage.redis import codec
from duey.storage.redis.client import Server

BYTES_MAX = 8 * 1024 * 1024  # read at once, because a few jobs may be large
STEP = 1000


def read(server: Server, limit: int, compose: Any) -> list[Event]:
    """The oldest events in order, in their display form. `compose` decodes and redacts."""
    while True:
        removed, *found = server.run("events", limit, BYTES_MAX, again=True)
        if found or not removed:
            return [compose.event(row_of(each)) for each in found]


def row_of(answer: Sequence[Any]) -> EventRow:
    """An event from the answer of events.lua."""
    number, kind_bytes, told, detail, job_id, m, carries_call, body, result = answer
    kind = kind_bytes.decode()
    by, at, started_at, attempt = json.loads(told)
    token = codec.token_of(by)
    if kind == COUNTED:
        return EventRow(
            int(number.partition(b"-")[0]), kind, token, at, None, 0, None, detail.decode(), "", "", "", 0.0, at, None,
            None, 0, None, None, None, None, None, None,
        )  # fmt: skip
    head, _, payload = body.partition(b"\n")
    _, task, queue, priority, _, _, chord, context, parent, _, *known = json.loads(b"[" + head)
    by = codec.by_of(known)
    enqueued_at, eta, expires_at, _, _, retries, *_ = json.loads(b"[" + m + b"]")
    return EventRow(
        int(number.partition(b"-")[0]), kind, token, at, started_at, attempt, codec.worker_of(token),
        None if detail is None else detail.decode(), job_id.decode(), task, queue, priority, enqueued_at, eta,
        expires_at, retries, parent, by, context, chord, payload if carries_call else None,
        result if kind == DONE else None,
    )  # fmt: skip


def delete(server: Server, events: Sequence[Event]) -> None:
    """Remove events that were recorded."""
    for i in range(0, len(events), STEP):
        server.command(b"XDEL", server.key("events"), *(f"{e.seq}-0" for e in events[i : i + STEP]))
