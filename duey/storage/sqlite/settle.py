"""Settles claims: writes the end of an attempt, inside the transaction of the caller.

For each settlement whose claim still stands it writes: the end of the claim, the result and final state (or the time of
the retry), the next steps of a pipeline, the part of a chord and, with the last part, the callback, the freed unique
key, the event. A settlement whose claim is gone writes nothing, and its token is reported as lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from duey import clock
from duey.model.job import (
    BLOCKED,
    CANCELED,
    ENDED,
    FAILED,
    FREED_AT_START,
    RELEASED,
    RETRYING,
    ChordPart,
    NewJob,
    Settlement,
)
from duey.storage.sqlite import enqueue, policies, queries
from duey.storage.sqlite.schema import EVENT, worker_of


class SettleResult(NamedTuple):
    """The tokens whose claim was gone, and how many jobs were unblocked because places in a limit were freed."""

    lost: frozenset[int]
    unblocked: int


def settle(
    con: sqlite3.Connection, settlements: Sequence[Settlement], ttl_s: float, failed_ttl_s: float
) -> SettleResult:
    """Write every settlement whose claim still stands."""
    tokens = [s.claim.token for s in settlements]
    marks = ",".join("?" * len(tokens))
    held = dict(
        con.execute(f"delete from claimed where token in ({marks}) returning token, limit_name", tokens).fetchall()
    )
    standing = [s for s in settlements if s.claim.token in held]
    ended = [s for s in standing if s.outcome in ENDED]
    con.executemany(
        "insert or replace into finished values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                s.claim.seq, s.outcome, attempts(s), s.started_at, s.finished_at, worker_of(s.claim.token),
                (s.finished_at or 0) + kept_s(s, ttl_s, failed_ttl_s), s.result,
            )
            for s in ended
        ],
    )  # fmt: skip
    for s in standing:
        if s.outcome not in ENDED:
            move(con, s)
        if s.next_jobs:
            enqueue_next(con, s.next_jobs)
        if s.others:
            con.executemany(
                "insert or replace into kv values (?, ?, ?)",
                [(k, v, (s.finished_at or 0) + ttl_s) for k, v in s.others],
            )
        if s.chord_part:
            add_chord_part(con, s.chord_part)
    end_extras(con, ended)
    con.executemany(
        EVENT,
        [(s.claim.seq, s.outcome, s.claim.token, s.finished_at, s.started_at, attempts(s), s.detail) for s in standing],
    )
    freed = [name for name in held.values() if name]
    return SettleResult(frozenset(tokens).difference(held), policies.free_slots(con, freed) if freed else 0)


def kept_s(s: Settlement, ttl_s: float, failed_ttl_s: float) -> float:
    """How long the ended job is kept, in seconds: a failed one so that it can be retried, others as the task says."""
    if s.outcome == FAILED:
        return failed_ttl_s
    return ttl_s if s.keep_s is None else s.keep_s


def heed_stops(con: sqlite3.Connection, settlements: Sequence[Settlement], compose: Any) -> None:
    """Make jobs that were asked to stop end as canceled, if they would go back to the queue otherwise."""
    back = [s for s in settlements if s.outcome in (RETRYING, RELEASED)]
    to_cancel = queries.stop_requested(con, [s.claim.seq for s in back]) if back else set()
    for s in back:
        if s.claim.seq in to_cancel:
            end = compose.end(s.claim, CANCELED)
            s.outcome, s.chord_part, s.others = CANCELED, end.chord_part, end.others


def attempts(s: Settlement) -> int:
    """How many attempts have ended, including this one if its body has run."""
    return s.claim.attempt + (s.started_at is not None and s.outcome not in (RELEASED, BLOCKED))


def move(con: sqlite3.Connection, s: Settlement) -> None:
    """Move a job that has not ended to the place where it waits next."""
    claim = s.claim
    if s.outcome == RETRYING:
        con.execute(
            "update jobs set attempt = ?, retries = ?, retry_delay_s = ?, eta = ?, failures = ?, failed_at = ?, "
            "waits_for = ? where seq = ?",
            (attempts(s), s.retries, s.retry_delay_s, s.eta, s.failures, s.failed_at, s.reason, claim.seq),
        )
    if claim.flags & FREED_AT_START and s.outcome != RETRYING:
        policies.take_again(con, claim.seq)  # it did not start after all
    if s.outcome == BLOCKED:
        con.execute(
            "insert into blocked values (?, ?, ?, ?, ?)",
            (claim.seq, s.reason, claim.task, -claim.priority, s.finished_at),
        )
    elif s.eta is not None and s.eta > clock.now():
        con.execute("insert into scheduled values (?, ?)", (s.eta, claim.seq))
    else:
        con.execute("insert into ready values (?, ?, ?)", (claim.queue, -claim.priority, claim.seq))


def enqueue_next(con: sqlite3.Connection, jobs: Sequence[NewJob]) -> None:
    """Enqueue the jobs that follow. One that has ended already (its predecessor was retried by hand) stays as it is."""
    ended = "select 1 from jobs join finished using (seq) where id = ?"
    fresh = [job for job in jobs if not con.execute(ended, (job.id,)).fetchone()]
    if fresh:
        enqueue.insert_many(con, fresh)


def add_chord_part(con: sqlite3.Connection, part: ChordPart) -> None:
    """Store the part of a chord, once. With the last part, enqueue the callback."""
    if con.execute("select 1 from jobs where id = ?", (part.callback.id,)).fetchone():
        return  # the callback exists: this member ran again after its chord was complete
    con.execute("insert or ignore into chord_parts values (?, ?, ?)", (part.cid, part.idx, part.value))
    count = con.execute("select count(*) from chord_parts where cid = ?", (part.cid,)).fetchone()[0]
    if count == part.size:
        enqueue.insert(con, part.callback)


def end_extras(con: sqlite3.Connection, ended: Sequence[Settlement]) -> None:
    """Remove what lasts until the job's end: its unique key, its revocation, a request to stop."""
    for table, column, values in (
        ("revocations", "key", [f"r:{s.claim.id}" for s in ended]),
        ("unique_locks", "not fixed and seq", [s.claim.seq for s in ended]),
        ("cancel_requests", "seq", [s.claim.seq for s in ended]),
    ):
        if values and con.execute(f"select 1 from {table} limit 1").fetchone():
            con.executemany(f"delete from {table} where {column} = ?", [(v,) for v in values])
