"""Reads jobs, counts and queues. Changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from duey import clock
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
from duey.storage import presence, wakeup
from duey.storage.contract import Queries
from duey.storage.huey_adapter import KeyValue
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.connection.schema import RECORD
from duey.storage.values import StoredJob

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


def read_job(con: sqlite3.Connection, job_id: str) -> StoredJob | None:
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


class SqliteQueries(Queries):
    """A part of SqliteStorage."""

    db: Database
    folder: Path
    data: KeyValue

    def read_ahead(self, *reads: Callable[[], object]) -> AbstractContextManager[None]:
        return nullcontext()  # a read costs less than calling it twice

    def get_job(self, job_id: str) -> StoredJob | None:
        with self.db.read() as con:
            found = read_job(con, job_id)
        if found is None or not found.token:
            return found
        return found.as_it_runs(presence.slots_of(self.folder, found.worker or 0))

    def list_jobs(
        self, state: str | None, tasks: Sequence[str] | None, q: str | None, limit: int, before: int | None,
        by: str | None = None,
    ) -> list[StoredJob]:  # fmt: skip
        where = ["j.attempt = 0"] if state == SCHEDULED else []
        values: list[object] = []
        if tasks is not None:
            where.append(f"j.task in ({','.join('?' * len(tasks))})")
            values += tasks
        if by is not None:
            where.append("j.by = ?")
            values.append(by)
        if q:
            where.append("(j.id = ? or j.task like ? escape '\\')")
            values += [q, f"%{q.translate(ESCAPED)}%"]
        before = LAST if before is None else before
        with self.db.read() as con:
            if state is None:
                return select(con, [*where, "j.seq < ?"], [*values, before], limit)
            con.execute("begin")  # the places and the rows must agree
            found: list[StoredJob] = []
            places = con.execute(f"select seq from ({PLACES[state]}) where seq < ? order by seq desc", (before,))
            while len(found) < limit and (chunk := [row[0] for row in places.fetchmany(CHUNK)]):
                here = f"j.seq in ({','.join('?' * len(chunk))})"
                found += select(con, [*where, here], [*values, *chunk], limit - len(found))
        return found

    def counts(self) -> Counts:
        with self.db.read() as con:
            scheduled, ready, blocked, running, waiting_events = (
                con.execute(f"select count(*) from {table}").fetchone()[0]
                for table in ("scheduled", "ready", "blocked", "claimed", "outbox")
            )
            retrying = con.execute(f"select count(*) from ({TRIED})").fetchone()[0]
            oldest = oldest_of(con, "select seq from ready")
        return Counts(scheduled - retrying, ready, running, retrying, blocked, oldest, waiting_events)

    def queue_infos(self) -> list[QueueInfo]:
        now = clock.now()
        with self.db.read() as con:
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
        age_s = {name: max(0.0, now - at) for name, at in since.items()}
        return [
            QueueInfo(name, waiting.get(name, 0), age_s.get(name), name in paused)
            for name in sorted(waiting.keys() | paused)
        ]

    def pauses(self) -> set[tuple[str, str]]:
        with self.db.read() as con:
            return set(con.execute("select kind, name from pauses"))

    def stop_requested(self, seqs: Sequence[int]) -> set[int]:
        with self.db.read() as con:
            return asked_to_stop(con, seqs)

    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        def is_over() -> bool:
            with self.db.read() as con:
                query = "select 1 from jobs join finished using (seq) where id = ?"
                return bool(con.execute(query, (job_id,)).fetchone()) or self.data.has(job_id)

        return wakeup.wait_until(self.folder, is_over, timeout_s)

    # for Huey

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("ready r join jobs j using (seq) order by r.rank, r.seq", limit)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("scheduled d join jobs j using (seq) order by d.at, d.seq", limit)

    def _payloads(self, source: str, limit: int | None) -> list[bytes]:
        with self.db.read() as con:
            rows = con.execute(f"select payload from {source} limit ?", (-1 if limit is None else limit,))
            return [row[0] for row in rows]


def select(con: sqlite3.Connection, where: Sequence[str], values: Sequence[object], limit: int) -> list[StoredJob]:
    """The jobs that match, newest first, without large payloads and results."""
    payload = f"case when length(j.payload) > {LISTED_BYTES} then x'' else j.payload end"
    record = ATTEMPT.replace("j.payload", payload)
    # An error is shown in lists; its length was limited when it was stored.
    result = f"case when e.state = 'done' and length(e.result) > {LISTED_BYTES} then x'' else e.result end"
    sql = STANDING.format(record=record, result=result)
    rows = con.execute(f"{sql} where {' and '.join(where)} order by j.seq desc limit ?", [*values, limit])
    return list(map(stored_of, rows))


def oldest_of(con: sqlite3.Connection, waiting: str, *values: str) -> float | None:
    """Since when the oldest of these jobs waits (epoch seconds). Only the first 100 in order of acceptance are read."""
    return con.execute(
        f"select min(max(enqueued_at, coalesce(eta, 0))) from jobs where seq in ({waiting} order by seq limit 100)",
        values,
    ).fetchone()[0]


def asked_to_stop(con: sqlite3.Connection, seqs: Sequence[int]) -> set[int]:
    """Which of these running jobs were asked to stop."""
    marks = ",".join("?" * len(seqs))
    return {row[0] for row in con.execute(f"select seq from cancel_requests where seq in ({marks})", list(seqs))}
