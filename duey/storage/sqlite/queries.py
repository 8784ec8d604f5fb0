"""Reads jobs, counts, queues and events. Changes nothing, except that it deletes recorded events."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from duey.model.event import Event
from duey.model.job import (
    BLOCKED,
    CANCELED,
    DONE,
    EXPIRED,
    FAILED,
    QUEUED,
    RETRYING,
    RUNNING,
    SCHEDULED,
    Counts,
    JobRecord,
    QueueInfo,
)
from duey.payload.plain import LISTED_BYTES
from duey.storage.sqlite.database import Database
from duey.storage.sqlite.schema import RECORD
from duey.storage.values import EventRow, StoredJob

# The place of a job decides its state. A job that was set aside is shown as queued, with a reason. The reason of a job
# in `due` is what it waited for when it was put there.
STANDING = """select {record}, case when e.seq is not null then 'finished' when c.seq is not null then 'claimed'
         when p.seq is not null then 'blocked'
         when exists (select 1 from ready r where r.queue = j.queue and r.rank = -j.priority and r.seq = j.seq)
         then 'ready' else 'scheduled' end as place,
    case when e.seq is not null then e.state when c.seq is not null then 'running' when p.seq is not null then 'blocked'
         when exists (select 1 from ready r where r.queue = j.queue and r.rank = -j.priority and r.seq = j.seq)
         then 'queued' when j.attempt > 0 then 'retrying' else 'scheduled' end as state,
    case when p.seq is not null then p.kind || ' ' || p.name
         when j.waits_for is not null and exists (select 1 from scheduled d where d.at = j.eta and d.seq = j.seq)
         then j.waits_for end,
    coalesce(c.token, 0), coalesce(e.worker, c.worker), e.started_at, e.finished_at, {result},
    exists (select 1 from cancel_requests where cancel_requests.seq = j.seq)
    from jobs j left join finished e on e.seq = j.seq left join claimed c on c.seq = j.seq
    left join blocked p on p.seq = j.seq"""
ATTEMPT = RECORD.replace("j.attempt", "coalesce(e.attempt, j.attempt)")
ONE = STANDING.format(record=ATTEMPT, result="e.result") + " where j.id = ?"
FIELDS = len(JobRecord._fields)
ESCAPED = {ord(c): "\\" + c for c in "%_\\"}  # what `like` would read as a pattern
LAST = 2**63 - 1


def get_job(con: sqlite3.Connection, job_id: str) -> StoredJob | None:
    """One job."""
    row = con.execute(ONE, (job_id,)).fetchone()
    return stored_of(row) if row else None


def stored_of(row: Sequence[Any]) -> StoredJob:
    """The job of a row of STANDING."""
    return StoredJob._make((JobRecord._make(row[:FIELDS]), *row[FIELDS:-1], bool(row[-1]), ()))


TRIED = """select seq from jobs j where attempt > 0
    and exists (select 1 from scheduled d where d.at = j.eta and d.seq = j.seq)"""
# Where the jobs of a state are. The row of a job is read only when its turn in the list has come.
PLACES = {
    SCHEDULED: "select seq from scheduled",
    RETRYING: f"select seq from ({TRIED})",
    QUEUED: "select seq from ready",
    BLOCKED: "select seq from blocked",
    RUNNING: "select seq from claimed",
    **{s: f"select seq from finished where state = '{s}'" for s in (DONE, FAILED, CANCELED, EXPIRED)},
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
    record = ATTEMPT.replace("j.payload", payload)
    # An error is shown in lists; its length was limited when it was stored.
    result = f"case when e.state = 'done' and length(e.result) > {LISTED_BYTES} then x'' else e.result end"
    sql = STANDING.format(record=record, result=result)
    rows = con.execute(f"{sql} where {' and '.join(where)} order by j.seq desc limit ?", [*values, limit])
    return list(map(stored_of, rows))


def counts(con: sqlite3.Connection) -> Counts:
    """How many jobs are in which state."""
    scheduled, ready, blocked, running, waiting_events = (
        con.execute(f"select count(*) from {table}").fetchone()[0]
        for table in ("scheduled", "ready", "blocked", "claimed", "outbox")
    )
    retrying = con.execute(f"select count(*) from ({TRIED})").fetchone()[0]
    oldest = oldest_of(con, "select seq from ready")
    return Counts(scheduled - retrying, ready, running, retrying, blocked, oldest, waiting_events)


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
        "select queue, count(*), min(max(enqueued_at, coalesce(eta, 0))) from blocked join jobs using (seq) "
        "group by queue"
    ):
        waiting[name] = waiting.get(name, 0) + count
        since[name] = min(since.get(name, at), at)
    paused = {name for (name,) in con.execute("select name from pauses where kind = 'queue'")}
    return [
        QueueInfo(name, waiting.get(name, 0), max(0.0, now - since[name]) if name in since else None, name in paused)
        for name in sorted(waiting.keys() | paused)
    ]


def stop_requested(con: sqlite3.Connection, seqs: Sequence[int]) -> set[int]:
    """Which of these running jobs were asked to stop."""
    marks = ",".join("?" * len(seqs))
    return {row[0] for row in con.execute(f"select seq from cancel_requests where seq in ({marks})", list(seqs))}


def chord_results(con: sqlite3.Connection, cid: str) -> list[bytes]:
    """The parts of a complete chord, in the order of its members."""
    return [row[0] for row in con.execute("select value from chord_parts where cid = ? order by idx", (cid,))]


def pauses(con: sqlite3.Connection) -> set[tuple[str, str]]:
    """(kind, name) of every pause."""
    return set(con.execute("select kind, name from pauses"))


def has_ended(con: sqlite3.Connection, job_id: str) -> bool:
    """Whether the job is known and has ended."""
    return bool(con.execute("select 1 from jobs join finished using (seq) where id = ?", (job_id,)).fetchone())


BIG = 1_000_000  # larger payloads and results are not shown (bytes)
PAYLOAD = f"""case when (v.kind in ('enqueued', 'retried') or e.result is not null and v.kind = 'done')
    and length(j.payload) < {BIG} then j.payload else x'' end"""
EVENTS = f"""select {RECORD.replace("j.payload", PAYLOAD)}, v.seq, v.kind, v.token, v.at, v.started_at, v.attempt,
    case when v.token > 0 then v.token >> 32 end, v.detail,
    case when v.kind = 'done' then case when length(e.result) < {BIG} then e.result end end
    from outbox v left join jobs j on j.seq = v.job left join finished e on e.seq = v.job order by v.seq limit ?"""
# The instant is compared too: if the numbers have started again meanwhile, newer events stay.
DELETE = "delete from outbox where seq <= ? and at <= ?"


def read_outbox(con: sqlite3.Connection, limit: int) -> list[EventRow]:
    """The oldest events in order."""
    rows = con.execute(EVENTS, (limit,)).fetchall()
    return [EventRow._make((*row[FIELDS:], JobRecord._make(row[:FIELDS]) if row[0] else None)) for row in rows]


def delete_events(db: Database, events: Sequence[Event | EventRow]) -> None:
    """Remove events that were read, and those before and between them whose jobs were removed."""
    if events:
        with db.write("relaxed") as con:
            con.execute(DELETE, (events[-1].seq, max(e.at for e in events)))
