"""Writes events, and the tokens that identify them."""

from __future__ import annotations

import sqlite3

EVENT = "insert into events (job, kind, token, at, started_at, attempt, detail) values (?, ?, ?, ?, ?, ?, ?)"


def worker_of(token: int) -> int | None:
    """The number of the worker that had the claim, None if no worker was involved."""
    return token >> 32 if token > 0 else None


def manual_token(con: sqlite3.Connection) -> int:
    """A new token for something that no worker did. Negative, and never used again, because it identifies events."""
    row = con.execute(
        "insert into meta values ('hand', 1) on conflict (key) do update set value = value + 1 returning value"
    ).fetchall()[0]
    return -int(row[0])
