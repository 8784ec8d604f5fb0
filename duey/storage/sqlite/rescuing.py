"""Returning a dead worker's claims.

The transaction holds, for each claim of the dead worker, what duey.storage.deaths decides: the end of the claim, the
counted delivery, the job's way back to the queue or its end, its event; and the end of the worker's row. Two rescuers
never both win: whoever deletes the claim returns the job. If the process dies before the commit, the next rescuer
finds everything as it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from duey import clock
from duey.model.job import FREED_AT_START, Claim
from duey.storage.deaths import Dead, Fate, fate_of
from duey.storage.sqlite import claim as claiming
from duey.storage.sqlite import noting, policies, settle, uniqueness


class Planned(NamedTuple):
    """One claim of a dead worker, and what is to become of it."""

    claim: Claim
    stopping: bool
    fate: Fate


def plan(con: sqlite3.Connection, dead: Dead, max_crashes: int, compose: Any) -> list[Planned]:
    """Decide on all claims of one worker, before any transaction: `compose`, which composes the ends, may have to ask a
    task's back-off."""
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


def release(con: sqlite3.Connection, dead: Dead, planned: Sequence[Planned], ttl_s: float) -> list[str] | None:
    """Return all claims of one worker as planned; ids of the jobs that it handled. None, and nothing is changed, when a
    job was asked to stop meanwhile: plan again."""
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
    """To where it was claimed from."""
    (gate,) = con.execute("delete from claims where token = ? returning gate", (claim.token,)).fetchone()
    if not started:
        policies.refund(con, gate)
    con.execute("insert into ready values (?, ?, ?)", (claim.queue, -claim.priority, claim.seq))
    if claim.flags & FREED_AT_START:
        uniqueness.take_again(con, claim.seq)
