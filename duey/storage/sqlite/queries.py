"""Reads jobs, counts and queues, without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from duey.model.job import CANCELED, DONE, EXPIRED, FAILED, QUEUED, RETRYING, RUNNING, SCHEDULED, Counts, QueueInfo
from duey.payload.plain import LISTED_BYTES
from duey.storage.contract import StoredJob

# The place of a job decides its state. A job that was set aside is shown as queued, with a reason. The reason of a job
# in `due` is what it waited for when it was put there.
STANDING = """select j.seq, j.id, j.task, j.queue, j.priority, j.enqueued_at, j.eta, j.expires_at,
    coalesce(e.attempt, j.attempt), j.deliveries, j.retries, j.context, j.chord, j.parent, j.by, {payload},
    case when e.seq is not null then 'ended' when c.seq is not null then 'claims' when p.seq is not null then 'parked'
         when exists (select 1 from ready r where r.queue = j.queue and r.rank = -j.priority and r.seq = j.seq)
         then 'ready' else 'due' end as place,
    case when e.seq is not null then e.state when c.seq is not null then 'running' when p.seq is not null then 'queued'
         when exists (select 1 from ready r where r.queue = j.queue and r.rank = -j.priority and r.seq = j.seq)
         then 'queued' when j.attempt > 0 then 'retrying' else 'scheduled' end as state,
    case when p.seq is not null then p.kind || ' ' || p.name
         when j.waits_for is not null and exists (select 1 from due d where d.at = j.eta and d.seq = j.seq)
         then j.waits_for end,
    coalesce(e.worker, c.worker), e.started_at, e.finished_at, {result},
    exists (select 1 from stops where stops.seq = j.seq), c.token
    from {source} left join ended e on e.seq = j.seq left join claims c on c.seq = j.seq
    left join parked p on p.seq = j.seq"""
ONE = STANDING.format(payload="j.payload", result="e.result", source="jobs j") + " where j.id = ?"
ESCAPED = {ord(c): "\\" + c for c in "%_\\"}  # what `like` would read as a pattern
LAST = 2**63 - 1


def look(con: sqlite3.Connection, job_id: str) -> tuple[StoredJob, int | None] | None:
    """One job, and the token of its claim if there is one."""
    row = con.execute(ONE, (job_id,)).fetchone()
    return (StoredJob._make(row[:-1])._replace(stopping=bool(row[-2])), row[-1]) if row else None


TRIED = "select seq from jobs j where attempt > 0 and exists (select 1 from due d where d.at = j.eta and d.seq = j.seq)"
# Where the jobs of a state are. The row of a job is read only when its turn in the list has come.
PLACES = {
    SCHEDULED: "select seq from due",
    RETRYING: f"select seq from ({TRIED})",
    QUEUED: "select seq from ready union all select seq from parked",
    RUNNING: "select seq from claims",
    **{s: f"select seq from ended where state = '{s}'" for s in (DONE, FAILED, CANCELED, EXPIRED)},
}
CHUNK = 500


def list_jobs(
    con: sqlite3.Connection, state: str | None, task: str | None, q: str | None, limit: int, before: int | None,
    by: str | None = None,
) -> list[StoredJob]:  # fmt: skip
    """Jobs that match, newest first, with a seq below `before`."""
    where = ["j.attempt = 0"] if state == SCHEDULED else []
    values: list[object] = []
    if task is not None:
        where.append("j.task = ?")
        values.append(task)
    if by is not None:
        where.append("j.by = ?")
        values.append(by)
    if q:
        where.append("(j.id = ? or j.task like ? escape '\\')")
        values += [q, f"%{q.translate(ESCAPED)}%"]
    before = LAST if before is None else before
    if state is None:
        return select(con, [*where, "j.seq < ?"], [*values, before], limit)
    con.execute("begin")  # the places and the rows must agree
    found: list[StoredJob] = []
    places = con.execute(f"select seq from ({PLACES[state]}) where seq < ? order by seq desc", (before,))
    while len(found) < limit and (chunk := [row[0] for row in places.fetchmany(CHUNK)]):
        here = f"j.seq in ({','.join('?' * len(chunk))})"
        found += select(con, [*where, here], [*values, *chunk], limit - len(found))
    return found


def select(con: sqlite3.Connection, where: Sequence[str], values: Sequence[object], limit: int) -> list[StoredJob]:
    """The jobs that match, newest first, without large payloads and results."""
    payload = f"case when length(j.payload) > {LISTED_BYTES} then x'' else j.payload end"
    # An error is shown in lists; its length was limited when it was stored.
    result = f"case when e.state = 'done' and length(e.result) > {LISTED_BYTES} then x'' else e.result end"
    sql = STANDING.format(payload=payload, result=result, source="jobs j")
    rows = con.execute(f"{sql} where {' and '.join(where)} order by j.seq desc limit ?", [*values, limit])
    return [StoredJob._make(row[:-1]) for row in rows]


def counts(con: sqlite3.Connection) -> Counts:
    """How many jobs are in which state."""
    due, ready, parked, running, waiting_events = (
        con.execute(f"select count(*) from {table}").fetchone()[0]
        for table in ("due", "ready", "parked", "claims", "events")
    )
    retrying = con.execute(f"select count(*) from ({TRIED})").fetchone()[0]
    oldest = oldest_of(con, "select seq from ready")
    return Counts(due - retrying, ready + parked, running, retrying, parked, oldest, waiting_events)


def oldest_of(con: sqlite3.Connection, waiting: str, *values: str) -> float | None:
    """Since when the oldest of these jobs waits (epoch seconds). Only the first 100 in order of acceptance are read."""
    return con.execute(
        f"select min(max(enqueued_at, coalesce(eta, 0))) from jobs where seq in ({waiting} order by seq limit 100)",
        values,
    ).fetchone()[0]


def queue_infos(con: sqlite3.Connection, now: float) -> list[QueueInfo]:
    """Every queue that has waiting jobs or is paused."""
    con.execute("begin")  # the counts and the rows must agree
    waiting = dict(con.execute("select queue, count(*) from ready group by queue"))
    since = {name: oldest_of(con, "select seq from ready where queue = ?", name) or now for name in waiting}
    for name, count, at in con.execute(
        "select queue, count(*), min(max(enqueued_at, coalesce(eta, 0))) from parked join jobs using (seq) "
        "group by queue"
    ):
        waiting[name] = waiting.get(name, 0) + count
        since[name] = min(since.get(name, at), at)
    paused = {name for (name,) in con.execute("select name from pauses where kind = 'queue'")}
    return [
        QueueInfo(name, waiting.get(name, 0), max(0.0, now - since[name]) if name in since else None, name in paused)
        for name in sorted(waiting.keys() | paused)
    ]


def holder_of(con: sqlite3.Connection, seqs: Sequence[int]) -> set[int]:
    """Which of these running jobs were asked to stop."""
    marks = ",".join("?" * len(seqs))
    return {row[0] for row in con.execute(f"select seq from stops where seq in ({marks})", list(seqs))}


def has_ended(con: sqlite3.Connection, job_id: str) -> bool:
    """Whether the job is known and has ended."""
    return bool(con.execute("select 1 from jobs join ended using (seq) where id = ?", (job_id,)).fetchone())
