"""Looking at what stands in the queue, without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from engine.job_storage import StoredJob
from engine.jobs import (
    CANCELED,
    DONE,
    EXPIRED,
    FAILED,
    QUEUED,
    RETRYING,
    RUNNING,
    SCHEDULED,
    Counts,
    QueueInfo,
)  # fmt: skip

# A job's one place decides its state; `parked` looks queued to people, with a reason.
STANDING = """select j.seq, j.id, j.task, j.queue, j.priority, j.enqueued_at, j.eta, j.expires_at,
    coalesce(e.attempt, j.attempt), j.deliveries, j.retries, j.context, j.parent, {payload},
    case when e.seq is not null then 'ended' when c.seq is not null then 'claims' when p.seq is not null then 'parked'
         when exists (select 1 from ready r where r.queue = j.queue and r.rank = -j.priority and r.seq = j.seq)
         then 'ready' else 'due' end as place,
    case when e.seq is not null then e.state when c.seq is not null then 'running' when p.seq is not null then 'queued'
         when exists (select 1 from ready r where r.queue = j.queue and r.rank = -j.priority and r.seq = j.seq)
         then 'queued' when j.attempt > 0 then 'retrying' else 'scheduled' end as state,
    p.kind || ' ' || p.name, coalesce(e.worker, c.worker), e.started_at, e.finished_at, e.result,
    exists (select 1 from stops where stops.seq = j.seq), c.token
    from {source} left join ended e on e.seq = j.seq left join claims c on c.seq = j.seq
    left join parked p on p.seq = j.seq"""
ONE = STANDING.format(payload="j.payload", source="jobs j") + " where j.id = ?"
ESCAPED = {ord(c): "\\" + c for c in "%_\\"}  # what `like` would read as a pattern
BIG = 1_000_000  # a list shows no payload above this many bytes


def look(con: sqlite3.Connection, job_id: str) -> tuple[StoredJob, int | None] | None:
    """One job, and the token of the claim that holds it."""
    row = con.execute(ONE, (job_id,)).fetchone()
    return (StoredJob._make(row[:-1])._replace(stopping=bool(row[-2])), row[-1]) if row else None


SOURCES = {
    SCHEDULED: "due d join jobs j on j.seq = d.seq",
    RETRYING: "due d join jobs j on j.seq = d.seq",
    QUEUED: "(select seq from ready union all select seq from parked) r join jobs j on j.seq = r.seq",
    RUNNING: "claims h join jobs j on j.seq = h.seq",
    **{s: "ended f join jobs j on j.seq = f.seq" for s in (DONE, FAILED, CANCELED, EXPIRED)},
}
EXTRA = {
    SCHEDULED: "j.attempt = 0",
    RETRYING: "j.attempt > 0",
    **{s: f"f.state = '{s}'" for s in (DONE, FAILED, CANCELED, EXPIRED)},
}


def list_jobs(
    con: sqlite3.Connection,
    state: str | None,
    task: str | None,
    q: str | None,
    limit: int,
    before: int | None,
) -> list[StoredJob]:
    """Newest first."""
    payload = f"case when length(j.payload) < {BIG} then j.payload else x'' end"
    where: list[str] = []
    values: list[object] = []
    if state in EXTRA:
        where.append(EXTRA[state])
    if task is not None:
        where.append("j.task = ?")
        values.append(task)
    if before is not None:
        where.append("j.seq < ?")
        values.append(before)
    if q:
        where.append("(j.id = ? or j.task like ? escape '\\')")
        values += [q, f"%{q.translate(ESCAPED)}%"]
    sql = STANDING.format(payload=payload, source=SOURCES[state] if state else "jobs j")
    sql += (" where " + " and ".join(where) if where else "") + " order by j.seq desc limit ?"
    return [StoredJob._make(row[:-1]) for row in con.execute(sql, [*values, limit])]


def counts(con: sqlite3.Connection) -> Counts:
    """What stands where."""
    one = "select count(*) from {}".format
    scheduled, retrying = con.execute(
        "select count(*) - count(nullif(j.attempt, 0)), count(nullif(j.attempt, 0)) "
        "from due d join jobs j on j.seq = d.seq"
    ).fetchone()
    ready, parked, running, waiting_events = (
        con.execute(one(t)).fetchone()[0] for t in ("ready", "parked", "claims", "events")
    )
    oldest = con.execute("select enqueued_at, eta from ready r join jobs j on j.seq = r.seq order by r.seq limit 1")
    row = oldest.fetchone()
    since = max(row[0], row[1] or 0) if row else None
    return Counts(scheduled, ready + parked, running, retrying, parked, since, waiting_events)


def queue_infos(con: sqlite3.Connection, now: float) -> list[QueueInfo]:
    """Every queue that has waiting jobs or a pause."""
    infos = {
        name: QueueInfo(name, count, max(0.0, now - since), False)
        for name, count, since in con.execute(
            "select j.queue, count(*), min(max(j.enqueued_at, coalesce(j.eta, 0))) from "
            "(select seq from ready union all select seq from parked) w join jobs j using (seq) group by j.queue"
        )
    }
    for (name,) in con.execute("select name from pauses where kind = 'queue'"):
        before = infos.get(name, QueueInfo(name, 0, None, False))
        infos[name] = QueueInfo(name, before.waiting, before.oldest_age_s, True)
    return [infos[name] for name in sorted(infos)]


def holder_of(con: sqlite3.Connection, seqs: Sequence[int]) -> set[int]:
    """Which of these running jobs were asked to stop."""
    marks = ",".join("?" * len(seqs))
    return {row[0] for row in con.execute(f"select seq from stops where seq in ({marks})", list(seqs))}


def has_ended(con: sqlite3.Connection, job_id: str) -> bool:
    """Whether the job is known and has ended."""
    return bool(con.execute("select 1 from jobs join ended using (seq) where id = ?", (job_id,)).fetchone())
