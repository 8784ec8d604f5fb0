"""Returning a dead worker's claims.

The transaction holds, for each claim of the dead worker: the end of the claim, the counted delivery when its body
was running (and the death is to be charged), the job's way back to the queue or its end as failed, its event, and
the end of the worker's row. Two rescuers never both win: whoever deletes the claim returns the job. If the
process dies before the commit, the next rescuer finds everything as it was.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from engine import clock, errors, events
from engine.job_storage import Dead
from engine.jobs import CANCELED, FAILED, FREED_AT_START, ONCE, Claim
from engine.on_sqlite import claiming, gates, noting, settling, uniqueness


def release(con: sqlite3.Connection, dead: Dead, max_deliveries: int, compose: Any, ttl_s: float) -> list[str]:
    """Return all claims of one worker; ids of the jobs whose body was running. `compose` composes the ends."""
    rows = con.execute("select token, seq from claims where worker = ?", (dead.worker,)).fetchall()
    running: list[str] = []
    for token, seq in rows:
        claim = Claim._make(con.execute(claiming.CLAIMED, (token, seq)).fetchone())
        if token in dead.running:
            running.append(claim.id)
        if con.execute("select 1 from stops where seq = ?", (seq,)).fetchone():
            settling.settle(con, [compose.end(claim, CANCELED)], ttl_s, ttl_s)  # nobody wants it to run again
        elif token in dead.timed_out:
            settling.settle(con, [compose.timed_out(claim, dead.began.get(token))], ttl_s, ttl_s)
        elif token in dead.running and dead.charge:
            charge(con, claim, dead, max_deliveries, compose, ttl_s)
        else:
            put_back(con, claim, token in dead.running)
            if token in dead.running:
                con.execute(noting.EVENT, (seq, events.RELEASED, token, clock.now(), None, claim.attempt, None))
    con.execute("delete from locks where worker = ?", (dead.worker,))
    con.execute("delete from workers where n = ?", (dead.worker,))
    return running


def charge(con: sqlite3.Connection, claim: Claim, dead: Dead, max_deliveries: int, compose: Any, ttl_s: float) -> None:
    """Count the death for a job whose body was running: back to the queue, or failed when it was one too many."""
    deliveries, once = claim.deliveries + 1, bool(claim.flags & ONCE)
    con.execute("update jobs set deliveries = ? where seq = ?", (deliveries, claim.seq))
    if once or deliveries >= max_deliveries:
        error = errors.WorkerDied(deliveries, dead.host, dead.pid, once)
        settling.settle(con, [compose.end(claim._replace(deliveries=deliveries), FAILED, error)], ttl_s, ttl_s)
        return
    put_back(con, claim)
    detail = json.dumps({"host": dead.host, "pid": dead.pid, "deliveries": deliveries})
    con.execute(noting.EVENT, (claim.seq, events.RESCUED, claim.token, clock.now(), None, claim.attempt, detail))


def put_back(con: sqlite3.Connection, claim: Claim, started: bool = True) -> None:
    """To where it was claimed from."""
    (gate,) = con.execute("delete from claims where token = ? returning gate", (claim.token,)).fetchone()
    if not started:
        gates.refund(con, gate)
    con.execute("insert into ready values (?, ?, ?)", (claim.queue, -claim.priority, claim.seq))
    if claim.flags & FREED_AT_START:
        uniqueness.take_again(con, claim.seq)
