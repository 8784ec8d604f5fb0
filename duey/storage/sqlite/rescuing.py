"""Releases the claims of a dead worker.

The transaction holds, for each of its claims, what duey.storage.deaths decides: the end of the claim, the counted
crash, the return to the queue or the end of the job, the event; and the removal of the worker's row. Of two rescuers
only the one that deletes a claim returns its job. If the process dies before the commit, the next rescuer finds
everything unchanged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from duey import clock
from duey.model.job import FREED_AT_START, Claim
from duey.storage.deaths import DeadWorker, Fate, fate_of
from duey.storage.sqlite import claim as claiming
from duey.storage.sqlite import noting, policies, settle, uniqueness


class Planned(NamedTuple):
    """One claim of a dead worker, and what will happen to it."""

    claim: Claim
    stopping: bool
    fate: Fate


def plan(con: sqlite3.Connection, dead: DeadWorker, max_crashes: int, compose: Any) -> list[Planned]:
    """Decide on all claims of a worker, before the transaction, because `compose` may call a task's back-off."""
    rows = con.execute("select token, seq from claims where worker = ?", (dead.worker,)).fetchall()
    found = []
    for token, seq in rows:
        claim = Claim._make(con.execute(claiming.CLAIMED, (token, seq)).fetchone())
        stopping = is_stopping(con, seq)
        found.append(Planned(claim, stopping, fate_of(claim, dead, stopping, max_crashes, compose)))
    return found


def is_stopping(con: sqlite3.Connection, seq: int) -> bool:
    """Whether the job was asked to stop."""
    return con.execute("select 1 from stops where seq = ?", (seq,)).fetchone() is not None


def release(con: sqlite3.Connection, dead: DeadWorker, planned: Sequence[Planned], ttl_s: float) -> list[str] | None:
    """Release all claims of a worker as planned. Returns the ids of the jobs that its threads handled; None, and
    nothing is changed, if a job was asked to stop meanwhile and the plan must be made again."""
    tokens = {token for (token,) in con.execute("select token from claims where worker = ?", (dead.worker,))}
    standing = [each for each in planned if each.claim.token in tokens]
    if len(standing) < len(tokens) or any(is_stopping(con, each.claim.seq) != each.stopping for each in standing):
        return None
    for claim, _, fate in standing:
        if fate.deliveries is not None:
            con.execute("update jobs set deliveries = ? where seq = ?", (fate.deliveries, claim.seq))
        if fate.tree_deaths is not None:
            con.execute("update jobs set tree_deaths = ? where seq = ?", (fate.tree_deaths, claim.seq))
        if fate.settlement is not None:
            settle.settle(con, [fate.settlement], ttl_s, ttl_s)
            continue
        put_back(con, claim, fate.kind is not None)
        if fate.kind is not None:
            told = (claim.seq, fate.kind, claim.token, clock.now(), None, claim.attempt, fate.detail)
            con.execute(noting.EVENT, told)
    con.execute("delete from locks where worker = ?", (dead.worker,))
    con.execute("delete from workers where n = ?", (dead.worker,))
    return [claim.id for claim, _, _ in standing if claim.token in dead.marks]


def put_back(con: sqlite3.Connection, claim: Claim, started: bool) -> None:
    """End a claim and put its job back into `ready`. `started`: its body may have begun, so its rate token is spent."""
    (gate,) = con.execute("delete from claims where token = ? returning gate", (claim.token,)).fetchone()
    if not started:
        policies.refund(con, gate)
    con.execute("insert into ready values (?, ?, ?)", (claim.queue, -claim.priority, claim.seq))
    if claim.flags & FREED_AT_START:
        uniqueness.take_again(con, claim.seq)
