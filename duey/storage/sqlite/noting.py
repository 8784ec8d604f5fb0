"""Writing what happened, for the books: events, and the tokens that tell them apart."""

from __future__ import annotations

import sqlite3

EVENT = "insert into events (job, kind, token, at, started_at, attempt, detail) values (?, ?, ?, ?, ?, ?, ?)"


def worker_of(token: int) -> int | None:
    """The worker that the claim belonged to; None for what no worker did."""
    return token >> 32 if token > 0 else None


def hand_token(con: sqlite3.Connection) -> int:
    """A token for what no worker did: negative, and never used again, since events are told apart by it."""
    row = con.execute(
        "insert into meta values ('hand', 1) on conflict (key) do update set value = value + 1 returning value"
    ).fetchall()[0]
    return -int(row[0])
