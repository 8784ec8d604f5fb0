"""Claiming: what is due is brought in, what is next is taken, and what is paused is set aside when it is met."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from duey import clock
from duey.model.job import FREED_AT_START, Claim
from duey.model.limits import Limit
from duey.model.queues import NOT, REST, serves
from duey.storage.sqlite import policies, uniqueness

CLAIMED_COLUMNS = """j.seq, j.id, j.task, j.queue, j.priority, j.enqueued_at, j.eta, j.expires_at, j.attempt,
    j.deliveries, j.retries, j.retry_delay_s, j.timeout_s, j.flags, j.chord, j.context, j.payload, j.failures,
    j.failed_at, j.sequel, j.by, j.tree_deaths"""
CLAIMED = f"select ?, {CLAIMED_COLUMNS} from jobs j where seq = ?"
# A cross join keeps SQLite to this order: from the head of the queue to the rows.
FIRST = f"""select r.rank, {CLAIMED_COLUMNS} from ready r cross join jobs j on j.seq = r.seq where r.queue = ?
    order by r.rank, r.seq limit ?"""
NEXT_DUE = "select (select at from due order by at limit 1), (select min(opens_at) from gates)"
STANDS = f"{NEXT_DUE}, exists (select 1 from pauses), exists (select 1 from marks)"
DUE_STEP = 1000  # due jobs moved by one turn: bounds how long the write lock is held
PARK_STEP = 1000  # jobs set aside by one turn, likewise


class Stands(NamedTuple):
    """What a turn must know before it claims."""

    next_due: float | None  # the instant of the soonest scheduled job, or at which a gate opens
    any_pauses: bool
    any_marks: bool  # whether anything is revoked at all


def stands(con: sqlite3.Connection) -> Stands:
    """In one statement: of a single job's way to its body each takes a good part."""
    due_at, opens_at, any_pauses, any_marks = con.execute(STANDS).fetchone()
    return Stands(soonest(due_at, opens_at), bool(any_pauses), bool(any_marks))


def soonest(*instants: float | None) -> float | None:
    """The first of those that there are."""
    return min((at for at in instants if at is not None), default=None)


def bring_due(con: sqlite3.Connection) -> None:
    """Move what is due to where it may be claimed, soonest first."""
    rows = con.execute(
        "select at, seq from due where at <= ? order by at, seq limit ?", (clock.now(), DUE_STEP)
    ).fetchall()
    if rows:
        con.executemany("delete from due where at = ? and seq = ?", rows)
        con.executemany(
            "insert into ready select queue, -priority, seq from jobs where seq = ?",
            [(seq,) for _, seq in rows],
        )
    policies.open_due(con, clock.now())


def next_due(con: sqlite3.Connection) -> float | None:
    """The instant of the soonest scheduled job, or at which a gate opens."""
    return soonest(*con.execute(NEXT_DUE).fetchone())


def queues_to_serve(con: sqlite3.Connection, wanted: Sequence[str]) -> list[str]:
    """`wanted` with `*` replaced by every queue that has waiting jobs and no name in it (a skip scan)."""
    if REST not in wanted:
        return list(wanted)
    names: list[str] = []
    row = con.execute("select queue from ready order by queue limit 1").fetchone()
    while row:
        names.append(row[0])
        row = con.execute("select queue from ready where queue > ? order by queue limit 1", row).fetchone()
    star = [name for name in names if name not in wanted and serves(wanted, name)]
    at = wanted.index(REST)
    return [*wanted[:at], *star, *(name for name in wanted[at + 1 :] if not name.startswith(NOT))]


def anything_ready(con: sqlite3.Connection, wanted: Sequence[str]) -> bool:
    """Whether a turn would find something to claim; needs no write lock."""
    due = next_due(con)
    if due is not None and due <= clock.now():
        return True
    if REST in wanted:
        wanted = queues_to_serve(con, wanted)
    return any(con.execute("select 1 from ready where queue = ? limit 1", (name,)).fetchone() for name in wanted)


def claim(
    con: sqlite3.Connection, worker: int, first_token: int, want: int, wanted: Sequence[str],
    limits: Mapping[str, Limit], any_pauses: bool,
) -> tuple[list[Claim], bool]:  # fmt: skip
    """Claim up to `want` jobs by priority and age; parks what is paused or over its limit when it is met. Also: whether
    more waits."""
    paused = set(con.execute("select kind, name from pauses")) if any_pauses else set()
    claims: list[Claim] = []
    met: dict[str, policies.Gate] = {}
    set_aside = 0
    now = clock.now()
    for queue in queues_to_serve(con, wanted):
        while len(claims) < want and set_aside < PARK_STEP:
            rows = con.execute(FIRST, (queue, want - len(claims))).fetchall()
            if not rows:
                break
            # Nobody else writes meanwhile: all up to the last of these are these.
            con.execute("delete from ready where queue = ? and (rank, seq) <= (?, ?)", (queue, *rows[-1][:2]))
            token = first_token + len(claims)
            taken = [Claim(token + i, *row[1:]) for i, row in enumerate(rows)]
            if paused:
                taken = park_paused(con, taken, paused)
            if limits and any(c.task in limits for c in taken):
                taken = policies.admit(con, taken, limits, met)
            if len(taken) < len(rows):  # what is parked takes no token, so that none is given twice
                taken = [c._replace(token=token + i) for i, c in enumerate(taken)]
                set_aside += len(rows) - len(taken)
            claims += taken
    freed = [(c.seq,) for c in claims if c.flags & FREED_AT_START]
    if freed:
        con.executemany("delete from keys where not fixed and seq = ?", freed)
    con.executemany(
        "insert into claims values (?, ?, ?, ?, ?)",
        [(c.token, c.seq, worker, now, c.task if c.task in limits else None) for c in claims],
    )
    more = (len(claims) == want or set_aside >= PARK_STEP) and anything_ready(con, wanted)
    return claims, more


def park_paused(con: sqlite3.Connection, taken: list[Claim], paused: set[tuple[str, str]]) -> list[Claim]:
    """Set aside what is paused, visibly; the rest may run."""
    kept: list[Claim] = []
    held: list[tuple[Claim, str, str]] = []
    for c in taken:
        why = next(
            ((c, kind, name) for kind, name in (("queue", c.queue), ("task", c.task)) if (kind, name) in paused), None
        )
        if why is None:
            kept.append(c)
        else:
            held.append(why)
    policies.park(con, held, clock.now())
    return kept


def give_back(con: sqlite3.Connection, claims: Sequence[Claim]) -> int:
    """Return claims whose body never started; how many still stood."""
    count = 0
    for c in claims:
        row = con.execute("delete from claims where token = ? returning gate", (c.token,)).fetchone()
        if row:
            policies.refund(con, row[0])
            con.execute("insert into ready values (?, ?, ?)", (c.queue, -c.priority, c.seq))
            if c.flags & FREED_AT_START:
                uniqueness.take_again(con, c.seq)
            count += 1
    return count
