"""One turn of a worker: settle what was done, bring in what is due, claim what is next, in one transaction.

The transaction holds, for each settlement whose claim still stands: the end of the claim, the result and final
state (or the retry's instant), the next jobs of a pipeline, the chord's part and, with the last part, its callback,
the freed unique key, and the event. A settlement whose claim is gone writes nothing: its token comes back in
`lost`. If the process dies before the commit, the claims still stand and a rescuer returns the jobs; after it,
they are settled. The commit is not synced: a lost one only runs the jobs again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from engine import clock, events
from engine.jobs import (
    CANCELED,
    ENDED,
    FAILED,
    FREED_AT_START,
    PARKED,
    RELEASED,
    RETRYING,
    ChordPart,
    Claim,
    NewJob,
    Settlement,
)
from engine.on_sqlite import accepting, looking, uniqueness

CLAIMED_COLUMNS = """j.seq, j.id, j.task, j.queue, j.priority, j.enqueued_at, j.eta, j.expires_at, j.attempt,
    j.deliveries, j.retries, j.retry_delay_s, j.timeout_s, j.flags, j.chord, j.context, j.payload, j.failures,
    j.failed_at"""
CLAIMED = f"select ?, {CLAIMED_COLUMNS} from jobs j where seq = ?"
# A cross join keeps SQLite to this order: from the head of the queue to the rows.
FIRST = f"""select r.rank, {CLAIMED_COLUMNS} from ready r cross join jobs j on j.seq = r.seq where r.queue = ?
    order by r.rank, r.seq limit ?"""
EVENT = "insert into events (job, kind, token, at, started_at, attempt, detail) values (?, ?, ?, ?, ?, ?, ?)"
DUE_STEP = 1000  # due jobs moved by one turn: bounds how long the write lock is held


# settling


def settle(
    con: sqlite3.Connection, settlements: Sequence[Settlement], ttl_s: float, failed_ttl_s: float
) -> frozenset[int]:
    """Write every settlement whose claim still stands; the tokens of the others."""
    tokens = [s.claim.token for s in settlements]
    marks = ",".join("?" * len(tokens))
    held = {row[0] for row in con.execute(f"delete from claims where token in ({marks}) returning token", tokens)}
    standing = [s for s in settlements if s.claim.token in held]
    ended = [s for s in standing if s.outcome in ENDED]
    con.executemany(
        "insert or replace into ended values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                s.claim.seq, s.outcome, attempts(s), s.started_at, s.finished_at, worker_of(s.claim.token),
                (s.finished_at or 0) + (failed_ttl_s if s.outcome == FAILED else ttl_s), s.result,
            )
            for s in ended
        ],
    )  # fmt: skip
    for s in standing:
        if s.outcome not in ENDED:
            move(con, s)
        if s.next_jobs:
            defer_next(con, s.next_jobs)
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
    return frozenset(tokens) - held


def heed_stops(con: sqlite3.Connection, settlements: Sequence[Settlement], compose: Any) -> None:
    """A job that was asked to stop does not run again: what would go back to the queue ends as canceled."""
    back = [s for s in settlements if s.outcome in (RETRYING, RELEASED)]
    asked = looking.holder_of(con, [s.claim.seq for s in back]) if back else set()
    for s in back:
        if s.claim.seq in asked:
            s.outcome, s.chord_part = CANCELED, compose.end(s.claim, CANCELED).chord_part


def attempts(s: Settlement) -> int:
    """How many attempts have ended, this one with them if its body ran to an end."""
    return s.claim.attempt + (s.started_at is not None and s.outcome not in (RELEASED, PARKED))


def worker_of(token: int) -> int | None:
    """The worker that the claim belonged to; None for what no worker did."""
    return token >> 32 if token > 0 else None


def hand_token(con: sqlite3.Connection) -> int:
    """A token for what no worker did: negative, and never used again, since events are told apart by it."""
    row = con.execute(
        "insert into meta values ('hand', 1) on conflict (key) do update set value = value + 1 returning value"
    ).fetchall()[0]
    return -int(row[0])


def move(con: sqlite3.Connection, s: Settlement) -> None:
    """Put a job that has not ended where it waits next."""
    claim = s.claim
    if s.outcome == RETRYING:
        con.execute(
            "update jobs set attempt = ?, retries = ?, retry_delay_s = ?, eta = ?, failures = ?, failed_at = ? "
            "where seq = ?",
            (attempts(s), s.retries, s.retry_delay_s, s.eta, s.failures, s.failed_at, claim.seq),
        )
    if claim.flags & FREED_AT_START and s.outcome != RETRYING:
        uniqueness.take_again(con, claim.seq)  # it has not started after all
    if s.outcome == PARKED:
        con.execute("insert into parked values (?, ?, ?, ?)", (claim.seq, s.reason, claim.task, s.finished_at))
    elif s.eta is not None and s.eta > clock.now():
        con.execute("insert into due values (?, ?)", (s.eta, claim.seq))
    else:
        con.execute("insert into ready values (?, ?, ?)", (claim.queue, -claim.priority, claim.seq))


def defer_next(con: sqlite3.Connection, jobs: Sequence[NewJob]) -> None:
    """Accept the steps that follow. One that has ended came to life before its job was retried by hand: it stays."""
    ended = "select 1 from jobs join ended using (seq) where id = ?"
    fresh = [job for job in jobs if not con.execute(ended, (job.id,)).fetchone()]
    if fresh:
        accepting.insert_many(con, fresh)


def add_chord_part(con: sqlite3.Connection, part: ChordPart) -> None:
    """Count a member once, whatever is redelivered; the last one accepts the callback."""
    if con.execute("select 1 from jobs where id = ?", (part.callback.id,)).fetchone():
        return  # the callback came to life before: this member ran again after its chord was complete
    con.execute("insert or ignore into chord_parts values (?, ?, ?)", (part.cid, part.idx, part.value))
    count = con.execute("select count(*) from chord_parts where cid = ?", (part.cid,)).fetchone()[0]
    if count == part.size:
        accepting.insert(con, part.callback)


def end_extras(con: sqlite3.Connection, ended: Sequence[Settlement]) -> None:
    """Free what lived until the job's end: its unique key, its revocation, a stop that was asked."""
    for table, column, values in (
        ("marks", "key", [f"r:{s.claim.id}" for s in ended]),
        ("keys", "not fixed and seq", [s.claim.seq for s in ended]),
        ("stops", "seq", [s.claim.seq for s in ended]),
    ):
        if values and con.execute(f"select 1 from {table} limit 1").fetchone():
            con.executemany(f"delete from {table} where {column} = ?", [(v,) for v in values])


# claiming


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


def next_due(con: sqlite3.Connection) -> float | None:
    """The instant of the soonest scheduled job."""
    row = con.execute("select at from due order by at limit 1").fetchone()
    return row[0] if row else None


def queues_to_serve(con: sqlite3.Connection, wanted: Sequence[str]) -> list[str]:
    """`wanted` with `*` replaced by every queue that has waiting jobs and no name in it (a skip scan)."""
    if "*" not in wanted:
        return list(wanted)
    names: list[str] = []
    row = con.execute("select queue from ready order by queue limit 1").fetchone()
    while row:
        names.append(row[0])
        row = con.execute("select queue from ready where queue > ? order by queue limit 1", row).fetchone()
    star = [name for name in names if name not in wanted]
    at = wanted.index("*")
    return [*wanted[:at], *star, *wanted[at + 1 :]]


def anything_ready(con: sqlite3.Connection, wanted: Sequence[str]) -> bool:
    """Whether a turn would find something to claim; needs no write lock."""
    due = next_due(con)
    if due is not None and due <= clock.now():
        return True
    if "*" in wanted:
        return bool(queues_to_serve(con, wanted))
    return any(con.execute("select 1 from ready where queue = ? limit 1", (name,)).fetchone() for name in wanted)


def claim(
    con: sqlite3.Connection, worker: int, first_token: int, want: int, wanted: Sequence[str]
) -> tuple[list[Claim], bool]:
    """Claim up to `want` jobs by priority and age; parks what is paused when it is met. Also: whether more waits."""
    paused = set(con.execute("select kind, name from pauses"))
    claims: list[Claim] = []
    now = clock.now()
    for queue in queues_to_serve(con, wanted):
        while len(claims) < want:
            rows = con.execute(FIRST, (queue, want - len(claims))).fetchall()
            if not rows:
                break
            # Nobody else writes meanwhile: all up to the last of these are these.
            con.execute("delete from ready where queue = ? and (rank, seq) <= (?, ?)", (queue, *rows[-1][:2]))
            token = first_token + len(claims)
            taken = [Claim(token + i, *row[1:]) for i, row in enumerate(rows)]
            if paused:  # what is parked takes no token, so that none is given twice
                taken = [c._replace(token=token + i) for i, c in enumerate(park_paused(con, taken, paused))]
            claims += taken
    freed = [(c.seq,) for c in claims if c.flags & FREED_AT_START]
    if freed:
        con.executemany("delete from keys where not fixed and seq = ?", freed)
    con.executemany("insert into claims values (?, ?, ?, ?)", [(c.token, c.seq, worker, now) for c in claims])
    more = len(claims) == want and anything_ready(con, wanted)
    return claims, more


def park_paused(con: sqlite3.Connection, taken: list[Claim], paused: set[tuple[str, str]]) -> list[Claim]:
    """Set aside what is paused, visibly; the rest may run."""
    kept: list[Claim] = []
    token = hand_token(con)
    for c in taken:
        for kind, name in (("queue", c.queue), ("task", c.task)):
            if (kind, name) in paused:
                con.execute("insert into parked values (?, ?, ?, ?)", (c.seq, kind, name, clock.now()))
                con.execute(EVENT, (c.seq, events.PARKED, token, clock.now(), None, c.attempt, None))
                break
        else:
            kept.append(c)
    return kept


def give_back(con: sqlite3.Connection, claims: Sequence[Claim]) -> int:
    """Return claims whose body never started; how many still stood."""
    count = 0
    for c in claims:
        if con.execute("delete from claims where token = ?", (c.token,)).rowcount:
            con.execute("insert into ready values (?, ?, ?)", (c.queue, -c.priority, c.seq))
            if c.flags & FREED_AT_START:
                uniqueness.take_again(con, c.seq)
            count += 1
    return count
