"""Settles claims: writes the end of an attempt, inside the transaction of the caller.

For each outcome whose claim still stands it writes: the end of the claim, the result and final state (or the time of
the retry), the next steps of a pipeline, the part of a chord and, with the last part, the callback, the freed unique
key, the event. A outcome whose claim is gone writes nothing, and its token is reported as lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from duey import clock
from duey.model.job import BLOCKED, ENDED, FREED_AT_START, RELEASED, RETRYING, ChordPart, JobRecord
from duey.model.outcome import Outcome, Ttl
from duey.storage.sqlite import queries
from duey.storage.sqlite.connection.schema import EVENT
from duey.storage.sqlite.steps import policies
from duey.storage.sqlite.steps.insert import insert, insert_many
from duey.storage.values import worker_of


class SettleResult(NamedTuple):
    """The tokens whose claim was gone, and how many jobs were unblocked because places in a limit were freed."""

    lost: frozenset[int]
    unblocked: int


def settle(con: sqlite3.Connection, outcomes: Sequence[Outcome], ttl: Ttl) -> SettleResult:
    """Write every outcome whose claim still stands."""
    tokens = [s.claim.token for s in outcomes]
    marks = ",".join("?" * len(tokens))
    held = dict(
        con.execute(f"delete from claimed where token in ({marks}) returning token, limit_name", tokens).fetchall()
    )
    applied = [s for s in outcomes if s.claim.token in held]
    ended = [s for s in applied if s.state in ENDED]
    con.executemany(
        "insert or replace into finished values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                s.claim.job.seq, s.state, s.attempts, s.started_at, s.finished_at, worker_of(s.claim.token),
                s.gone_at(ttl), s.result,
            )
            for s in ended
        ],
    )  # fmt: skip
    for s in applied:
        if s.state not in ENDED:
            move(con, s)
        if s.follow_ups:
            enqueue_next(con, s.follow_ups)
        if s.others:
            con.executemany(
                "insert or replace into kv values (?, ?, ?)",
                [(k, v, s.finished_at + ttl.result_s) for k, v in s.others],
            )
        if s.chord_part:
            add_chord_part(con, s.chord_part)
    end_extras(con, ended)
    con.executemany(
        EVENT,
        [(s.claim.job.seq, s.state, s.claim.token, s.finished_at, s.started_at, s.attempts, s.detail) for s in applied],
    )
    freed = [name for name in held.values() if name]
    return SettleResult(frozenset(tokens).difference(held), policies.free_slots(con, freed) if freed else 0)


def asked_to_stop(con: sqlite3.Connection, outcomes: Sequence[Outcome]) -> frozenset[int]:
    """The tokens of those that would return a job to the queue that was asked to stop."""
    back = [s for s in outcomes if s.state in (RETRYING, RELEASED)]
    stopping = queries.asked_to_stop(con, [s.claim.job.seq for s in back]) if back else set()
    return frozenset(s.claim.token for s in back if s.claim.job.seq in stopping)


def move(con: sqlite3.Connection, s: Outcome) -> None:
    """Move a job that has not ended to the place where it waits next."""
    job = s.claim.job
    if s.state == RETRYING:
        con.execute(
            "update jobs set attempt = ?, retries = ?, retry_delay_s = ?, eta = ?, failures = ?, failed_at = ?, "
            "waits_for = ? where seq = ?",
            (s.attempts, s.retries, s.retry_delay_s, s.eta, s.failures, s.failed_at, s.reason, job.seq),
        )
    if job.flags & FREED_AT_START and s.state != RETRYING:
        policies.take_again(con, job.seq)  # it did not start after all
    if s.state == BLOCKED:
        con.execute(
            "insert into blocked values (?, ?, ?, ?, ?)",
            (job.seq, s.reason, job.task, -job.priority, s.finished_at),
        )
    elif s.eta is not None and s.eta > clock.now():
        con.execute("insert into scheduled values (?, ?)", (s.eta, job.seq))
    else:
        con.execute("insert into ready values (?, ?, ?)", (job.queue, -job.priority, job.seq))


def enqueue_next(con: sqlite3.Connection, jobs: Sequence[JobRecord]) -> None:
    """Enqueue the jobs that follow. One that has ended already (its predecessor was retried by hand) stays as it is."""
    ended = "select 1 from jobs join finished using (seq) where id = ?"
    fresh = [job for job in jobs if not con.execute(ended, (job.id,)).fetchone()]
    if fresh:
        insert_many(con, fresh)


def add_chord_part(con: sqlite3.Connection, part: ChordPart) -> None:
    """Store the part of a chord, once. With the last part, enqueue the callback."""
    if con.execute("select 1 from jobs where id = ?", (part.callback.id,)).fetchone():
        return  # the callback exists: this member ran again after its chord was complete
    con.execute("insert or ignore into chord_parts values (?, ?, ?)", (part.cid, part.idx, part.value))
    count = con.execute("select count(*) from chord_parts where cid = ?", (part.cid,)).fetchone()[0]
    if count == part.size:
        insert(con, part.callback)


def end_extras(con: sqlite3.Connection, ended: Sequence[Outcome]) -> None:
    """Remove what lasts until the job's end: its unique key, its revocation, a request to stop."""
    for table, column, values in (
        ("revocations", "key", [f"r:{s.claim.job.id}" for s in ended]),
        ("unique_locks", "not fixed and seq", [s.claim.job.seq for s in ended]),
        ("cancel_requests", "seq", [s.claim.job.seq for s in ended]),
    ):
        if values and con.execute(f"select 1 from {table} limit 1").fetchone():
            con.executemany(f"delete from {table} where {column} = ?", [(v,) for v in values])
