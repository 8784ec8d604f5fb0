"""Returning a dead worker's claims.

The transaction holds, for each claim of the dead worker, what engine.deaths decides: the end of the claim, the
counted delivery, the job's way back to the queue or its end, its event; and the end of the worker's row. Two rescuers
never both win: whoever deletes the claim returns the job. If the process dies before the commit, the next rescuer
finds everything as it was.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from engine import clock
from engine.deaths import Dead, fate_of
from engine.jobs import FREED_AT_START, Claim
from engine.on_sqlite import claiming, gates, noting, settling, uniqueness


def release(con: sqlite3.Connection, dead: Dead, max_deliveries: int, compose: Any, ttl_s: float) -> list[str]:
    """Return all claims of one worker; ids of the jobs that it handled. `compose` composes the ends."""
    rows = con.execute("select token, seq from claims where worker = ?", (dead.worker,)).fetchall()
    handled: list[str] = []
    for token, seq in rows:
        claim = Claim._make(con.execute(claiming.CLAIMED, (token, seq)).fetchone())
        if token in dead.marks:
            handled.append(claim.id)
        stopping = con.execute("select 1 from stops where seq = ?", (seq,)).fetchone() is not None
        fate = fate_of(claim, dead, stopping, max_deliveries, compose)
        if fate.deliveries is not None:
            con.execute("update jobs set deliveries = ? where seq = ?", (fate.deliveries, seq))
        if fate.tree_deaths is not None:
            con.execute("update jobs set tree_deaths = ? where seq = ?", (fate.tree_deaths, seq))
        if fate.settlement is not None:
            settling.settle(con, [fate.settlement], ttl_s, ttl_s)
            continue
        put_back(con, claim, fate.kind is not None)
        if fate.kind is not None:
            con.execute(noting.EVENT, (seq, fate.kind, token, clock.now(), None, claim.attempt, fate.detail))
    con.execute("delete from locks where worker = ?", (dead.worker,))
    con.execute("delete from workers where n = ?", (dead.worker,))
    return handled


def put_back(con: sqlite3.Connection, claim: Claim, started: bool) -> None:
    """To where it was claimed from."""
    (gate,) = con.execute("delete from claims where token = ? returning gate", (claim.token,)).fetchone()
    if not started:
        gates.refund(con, gate)
    con.execute("insert into ready values (?, ?, ?)", (claim.queue, -claim.priority, claim.seq))
    if claim.flags & FREED_AT_START:
        uniqueness.take_again(con, claim.seq)
