"""Claims jobs: moves due jobs to `ready`, takes the next ones, and sets aside paused ones and those over a limit.

A worker settles what it finished in the same transaction. If the process dies before the commit, the claims still stand
and a rescuer returns their jobs. The commit is not synced, because a lost one only runs the jobs again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from duey import clock
from duey.model.job import FREED_AT_START, Claim, JobRecord
from duey.model.limits import Limit
from duey.model.outcome import Outcome, Ttl
from duey.model.queues import NOT, REST, serves
from duey.storage.sqlite.connection.schema import RECORD
from duey.storage.sqlite.steps import inbox, policies, settle
from duey.storage.transfer import HOLD
from duey.storage.values import ClaimResult

# A cross join makes SQLite start at the head of the queue and then read the jobs.
FIRST = f"""select r.rank, {RECORD} from ready r cross join jobs j on j.seq = r.seq where r.queue = ?
    order by r.rank, r.seq limit ?"""
TAKE = "delete from ready where queue = ? and (rank, seq) <= (?, ?)"
HELD = f"select c.token, {RECORD} from claimed c cross join jobs j using (seq) where c.worker = ? order by c.token"
NEXT_DUE = "select (select at from scheduled order by at limit 1), (select min(opens_at) from limits)"
QUEUE_STATE = f"{NEXT_DUE}, exists (select 1 from pauses), exists (select 1 from revocations)"
DUE_STEP = 1000  # due jobs moved in one transaction: limits how long the write lock is held
BLOCK_STEP = 1000  # jobs set aside in one transaction, for the same reason


class QueueState(NamedTuple):
    """What must be known before claiming."""

    next_due: float | None  # epoch seconds of the next scheduled job or the next rate token
    any_pauses: bool
    any_revocations: bool  # whether any task or job is revoked


def queue_state(con: sqlite3.Connection) -> QueueState:
    """Read it by one statement, because each statement delays the start of a single job noticeably."""
    due_at, opens_at, any_pauses, any_revocations = con.execute(QUEUE_STATE).fetchone()
    return QueueState(soonest(due_at, opens_at), bool(any_pauses), bool(any_revocations))


def soonest(*instants: float | None) -> float | None:
    """The earliest instant, None if there is none."""
    return min((at for at in instants if at is not None), default=None)


def bring_due(con: sqlite3.Connection) -> None:
    """Move due jobs to `ready`, the earliest first."""
    rows = con.execute(
        "select at, seq from scheduled where at <= ? order by at, seq limit ?", (clock.now(), DUE_STEP)
    ).fetchall()
    if rows:
        con.executemany("delete from scheduled where at = ? and seq = ?", rows)
        con.executemany(
            "insert into ready select queue, -priority, seq from jobs where seq = ?",
            [(seq,) for _, seq in rows],
        )
    policies.refill_due(con, clock.now())


def next_due(con: sqlite3.Connection) -> float | None:
    """Epoch seconds of the next scheduled job or the next rate token, None if there is neither."""
    return soonest(*con.execute(NEXT_DUE).fetchone())


def queues_to_serve(con: sqlite3.Connection, wanted: Sequence[str]) -> list[str]:
    """`wanted` with `*` replaced by every other queue that has ready jobs (found by a skip scan)."""
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
    """Whether there is something to claim. Needs no write lock."""
    if not inbox.is_empty(con):
        return True
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
    """Claim up to `want` jobs by priority and age. Jobs that are paused or over a limit are set aside.

    Returns the claims, and whether more jobs are ready.
    """
    paused = set(con.execute("select kind, name from pauses")) if any_pauses else set()
    if HOLD in paused:
        return [], False
    found: list[JobRecord] = []
    states: dict[str, policies.LimitState] = {}
    set_aside = 0
    now = clock.now()
    for queue in queues_to_serve(con, wanted):
        while len(found) < want and set_aside < BLOCK_STEP:
            rows = con.execute(FIRST, (queue, want - len(found))).fetchall()
            if not rows:
                break
            taken = [JobRecord._make(row[1:]) for row in rows]
            # No other process writes meanwhile, so the rows up to the last one are exactly these.
            con.execute(
                "delete from ready where queue = ? and (rank, seq) <= (?, ?)", (queue, rows[-1][0], taken[-1].seq)
            )
            if paused:
                taken = block_paused(con, taken, paused)
            if limits and any(job.task in limits for job in taken):
                taken = policies.admit(con, taken, limits, states)
            set_aside += len(rows) - len(taken)
            found += taken
    freed = [(job.seq,) for job in found if job.flags & FREED_AT_START]
    if freed:
        con.executemany("delete from unique_locks where not fixed and seq = ?", freed)
    claims = [Claim(first_token + i, job) for i, job in enumerate(found)]
    con.executemany(
        "insert into claimed values (?, ?, ?, ?, ?)",
        [(token, job.seq, worker, now, policies.limit_name(job.task, limits)) for token, job in claims],
    )
    more = (len(claims) == want or set_aside >= BLOCK_STEP) and anything_ready(con, wanted)
    return claims, more


def block_paused(con: sqlite3.Connection, taken: list[JobRecord], paused: set[tuple[str, str]]) -> list[JobRecord]:
    """Set aside what is paused, with an event. Returns the other jobs."""
    kept: list[JobRecord] = []
    held: list[tuple[JobRecord, str, str]] = []
    for job in taken:
        why = next((why for why in (("queue", job.queue), ("task", job.task)) if why in paused), None)
        if why is None:
            kept.append(job)
        else:
            held.append((job, *why))
    policies.block(con, held, clock.now())
    return kept


def claims_of(con: sqlite3.Connection, worker: int) -> list[Claim]:
    """What a worker holds."""
    return [Claim(token, JobRecord._make(row)) for token, *row in con.execute(HELD, (worker,))]


def release_claims(con: sqlite3.Connection, claims: Sequence[Claim]) -> int:
    """Return claims whose body never started. Returns how many of them still stood."""
    return sum(put_back(con, claim) for claim in claims)


def put_back(con: sqlite3.Connection, claim: Claim, started: bool = False) -> bool:
    """End a claim and put its job back into `ready`. `started`: its body may have begun, so its rate token is spent.
    False, and nothing is changed, if the claim is gone."""
    job = claim.job
    row = con.execute("delete from claimed where token = ? returning limit_name", (claim.token,)).fetchone()
    if row is None:
        return False
    if not started:
        policies.refund(con, row[0])
    con.execute("insert into ready values (?, ?, ?)", (job.queue, -job.priority, job.seq))
    if job.flags & FREED_AT_START:
        policies.take_again(con, job.seq)
    return True


def idle_result(con: sqlite3.Connection, want: int, queues: Sequence[str]) -> ClaimResult | None:
    """The answer for a worker that has nothing to settle, if there is nothing to claim; otherwise None. Needs no write
    lock."""
    if want and anything_ready(con, queues):
        return None
    return ClaimResult([], frozenset(), False, next_due(con), False)


def settle_and_claim(
    con: sqlite3.Connection, worker: int, first_token: int, outcomes: Sequence[Outcome], want: int,
    queues: Sequence[str], ttl: Ttl, limits: Mapping[str, Limit],
) -> tuple[ClaimResult, int]:  # fmt: skip
    """Settle and claim inside the caller's transaction. The new claims get the tokens from `first_token` on.

    Returns the answer, and how many jobs were unblocked because a place in a limit was freed.
    """
    lost, unblocked, stopping = frozenset[int](), 0, frozenset[int]()
    if outcomes:
        stopping = settle.asked_to_stop(con, outcomes)
        if stopping:
            outcomes = [s for s in outcomes if s.claim.token not in stopping]
        lost, unblocked = settle.settle(con, outcomes, ttl)
    state = queue_state(con)
    if state.next_due is not None and state.next_due <= clock.now():
        bring_due(con)
    claims: list[Claim] = []
    more = False
    if want:
        claims, more = claim(con, worker, first_token, want, queues, limits, state.any_pauses)
    due_at = None if claims else next_due(con)
    return ClaimResult(claims, lost, more, due_at, bool(claims) and state.any_revocations, stopping), unblocked
