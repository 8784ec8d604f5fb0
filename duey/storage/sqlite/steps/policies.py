"""Limits of tasks: how many jobs run at the same time (`limit`) and how many start within a time (`rate`).

A task has a row in the table of limits once it has a rate or one of its jobs was set aside. The row holds the limits as
the last claim knew them, the tokens in its bucket at an instant, and when the next token arrives for jobs that wait for
one. The places in use are the rows in `claimed` that name the task. So whoever ends a claim can unblock the next job,
even a process that does not know the task.

And unique keys: held by a job until it ends or starts, or for a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duey import clock, errors
from duey.model import event
from duey.model.job import FREED_BY_TIME, JobRecord
from duey.model.limits import LIMIT, NO_LIMIT, RATE, Limit
from duey.storage.sqlite.connection.schema import EVENT, manual_token

WAITING_AT = """select g.name, w.kind from limits g cross join (select ? as kind union select ?) w
    where exists (select 1 from blocked p where p.kind = w.kind and p.name = g.name)"""
ALL = 1000  # jobs unblocked at once if the task has no limit any more: limits how long the write lock is held
ROUNDING = 1e-4  # part of a token that may be missing, because instants are rounded; it stays missing


@dataclass
class LimitState:
    """The limits of one task and their state, within one transaction."""

    name: str
    limit: Limit
    tokens: float
    at: float
    opens_at: float | None
    held: int  # places in use

    def refill(self, now: float) -> None:
        """Add the tokens that have arrived since the last time."""
        if self.limit.token_s is not None:
            self.tokens = min(self.limit.burst, self.tokens + max(0.0, now - self.at) / self.limit.token_s)
            self.at = now

    def next_token_at(self) -> float:
        """When the bucket has a token again (epoch seconds)."""
        return self.at + max(0.0, 1.0 - self.tokens) * (self.limit.token_s or 0.0)

    def why_not(self) -> str | None:
        """Why no job may start now; None if one may."""
        if self.limit.places is not None and self.held >= self.limit.places:
            return LIMIT
        return RATE if self.limit.token_s is not None and self.tokens < 1.0 - ROUNDING else None


def load(con: sqlite3.Connection, name: str, limit: Limit | None, now: float) -> LimitState | None:
    """The state of a task's limits, its bucket filled up to now. `limit`: the task's limits, None if they are not
    known. None if there is neither a row nor a limit."""
    row = con.execute(
        "select places, token_s, burst, tokens, at, opens_at from limits where name = ?", (name,)
    ).fetchone()
    if row is None and limit is None:
        return None
    held = con.execute("select count(*) from claimed where limit_name = ?", (name,)).fetchone()[0]
    if row is None:
        assert limit is not None
        return LimitState(name, limit, limit.burst, now, None, held)
    state = LimitState(name, limit or Limit(*row[:3]), row[3], row[4], row[5], held)
    if limit is not None and limit.token_s is not None and row[1] is None:
        state.tokens = limit.burst  # the rate is new: the bucket starts full
    state.refill(now)
    return state


def save(con: sqlite3.Connection, state: LimitState) -> None:
    limit = state.limit
    con.execute(
        "insert or replace into limits values (?, ?, ?, ?, ?, ?, ?)",
        (state.name, limit.places, limit.token_s, limit.burst, state.tokens, state.at, state.opens_at),
    )


# in the claim


def limit_name(task: str, limits: Mapping[str, Limit]) -> str | None:
    """The task in whose limits the jobs of a task take places, None if there are none."""
    limit = limits.get(task)
    return None if limit is None else limit.of or task


def admit(
    con: sqlite3.Connection, taken: Sequence[JobRecord], limits: Mapping[str, Limit], states: dict[str, LimitState]
) -> list[JobRecord]:
    """The jobs that may run, in order. The others are set aside. `states` caches the limits within a transaction."""
    now = clock.now()
    blocked: list[tuple[JobRecord, str, str]] = []
    kept: list[JobRecord] = []
    for job in taken:
        name = limit_name(job.task, limits)
        if name is None:
            kept.append(job)
            continue
        state = states.get(name) or load(con, name, limits[job.task], now)
        assert state is not None
        states[name] = state
        why = state.why_not()
        if why:
            blocked.append((job, why, name))
            if why == RATE and state.opens_at is None:
                state.opens_at = state.next_token_at()
        else:
            state.held += 1
            state.tokens -= 1.0
            kept.append(job)
    waiting = {name for _, _, name in blocked}
    for state in [states[name] for name in states.keys() & {limit_name(job.task, limits) for job in taken}]:
        if state.limit.token_s is not None or state.name in waiting:
            save(con, state)
    block(con, blocked, now)
    return kept


def block(con: sqlite3.Connection, blocked: Sequence[tuple[JobRecord, str, str]], now: float) -> None:
    """Set jobs aside, each for its reason (kind, name), with an event. They keep their order."""
    if not blocked:
        return
    token = manual_token(con)
    con.executemany(
        "insert into blocked values (?, ?, ?, ?, ?)", [(c.seq, why, name, -c.priority, now) for c, why, name in blocked]
    )
    con.executemany(
        EVENT,
        [
            (c.seq, event.BLOCKED, token, now, None, c.attempt, json.dumps({"reason": f"{why} {name}"}))
            for c, why, name in blocked
        ],
    )


def refund(con: sqlite3.Connection, name: str | None) -> None:
    """Return the rate token of a job that was claimed but did not start."""
    if name is not None:
        con.execute("update limits set tokens = min(burst, tokens + 1) where name = ? and token_s is not null", (name,))


# opening


def unblock(con: sqlite3.Connection, why: str, name: str, most: int) -> int:
    """Queue again up to `most` of the jobs that wait for a limit of a task. Returns how many."""
    rows = con.execute(
        "select p.seq, j.attempt from blocked p join jobs j using (seq) where p.kind = ? and p.name = ? "
        "order by p.rank, p.seq limit ?",
        (why, name, max(0, most)),
    ).fetchall()
    if rows:
        token, now = manual_token(con), clock.now()
        con.executemany("delete from blocked where seq = ?", [(seq,) for seq, _ in rows])
        con.executemany(
            "insert into ready select queue, -priority, seq from jobs where seq = ?", [(r[0],) for r in rows]
        )
        con.executemany(EVENT, [(seq, event.UNBLOCKED, token, now, None, attempt, None) for seq, attempt in rows])
    return len(rows)


def free_slots(con: sqlite3.Connection, names: Sequence[str]) -> int:
    """Unblock as many jobs of these tasks as there are free places. Returns how many."""
    count = 0
    for name in dict.fromkeys(names):
        state = load(con, name, None, clock.now())
        if state is not None:
            count += unblock(con, LIMIT, name, ALL if state.limit.places is None else state.limit.places - state.held)
    return count


def refill_due(con: sqlite3.Connection, now: float) -> None:
    """Unblock jobs of tasks whose next token has arrived."""
    for (name,) in con.execute("select name from limits where opens_at <= ?", (now,)).fetchall():
        refill_tokens(con, name, None, now)


def refill_tokens(con: sqlite3.Connection, name: str, limit: Limit | None, now: float) -> int:
    """Unblock as many jobs of a task as it has tokens, and store when the next token arrives. Returns how many."""
    state = load(con, name, limit, now)
    assert state is not None
    tokens = ALL if state.limit.token_s is None else int(state.tokens + ROUNDING)
    count = unblock(con, RATE, name, tokens)
    state.opens_at = None
    if con.execute("select 1 from blocked where kind = ? and name = ? limit 1", (RATE, name)).fetchone():
        state.tokens -= count  # the unblocked jobs will take them
        state.opens_at = max(state.next_token_at(), now)
        state.tokens += count
    save(con, state)
    return count


def recheck(con: sqlite3.Connection, limits: Mapping[str, Limit] | None = None, known: Sequence[str] = ()) -> int:
    """Check every task for which jobs wait, in case nothing else unblocks them: the job that was unblocked last may
    have been canceled, or may be in a queue that no worker serves. `limits` are those of the tasks in `known`."""
    now, count = clock.now(), 0
    for name, why in con.execute(WAITING_AT, (LIMIT, RATE)).fetchall():
        limit = None
        if limits is not None and name in known:
            limit = limits.get(name, NO_LIMIT)
            limit = NO_LIMIT if limit.of else limit  # it was blocked before the task was renamed
            state = load(con, name, limit, now)
            assert state is not None
            save(con, state)
        count += refill_tokens(con, name, limit, now) if why == RATE else free_slots(con, [name])
    return count


HOLDER = """select jobs.id from unique_locks join jobs on jobs.seq = unique_locks.seq
    where key = ? and (until is null or until > ?) and jobs.id != ?"""


def holder(con: sqlite3.Connection, key: str, job_id: str) -> str | None:
    """The id of another job that holds this key now, or None."""
    row = con.execute(HOLDER, (key, clock.now(), job_id)).fetchone()
    return row[0] if row else None


class MustEndError(errors.DueyError):
    """Nothing can be stored before these waiting jobs have ended, which new jobs replace."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(*ids)
        self.ids = tuple(ids)


def take(con: sqlite3.Connection, key: str, seq: int, hold_s: float | None, flags: int) -> None:
    """Make the job the holder of the key."""
    until = None if hold_s is None else clock.now() + hold_s
    con.execute(
        "insert or replace into unique_locks values (?, ?, ?, ?)", (key, seq, until, bool(flags & FREED_BY_TIME))
    )


def take_again(con: sqlite3.Connection, seq: int) -> None:
    """Make a job that goes back to the queue the holder of its key again, unless another job holds it by now."""
    row = con.execute("select unique_key, unique_s, flags, id from jobs where seq = ?", (seq,)).fetchone()
    if row[0] is not None and holder(con, row[0], row[3]) is None:
        take(con, row[0], seq, row[1], row[2])
