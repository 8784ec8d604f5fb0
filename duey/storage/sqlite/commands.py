"""Operations on jobs by hand: cancel, retry, forget, resume. Each is part of one conditional transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from duey import clock, errors
from duey.model import event
from duey.model.job import DONE, ENDED, Claim, JobRecord
from duey.model.limits import Limit
from duey.model.outcome import Outcome, Ttl
from duey.storage.contract import Commands
from duey.storage.sqlite import queries
from duey.storage.sqlite.connection import schema
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.steps import policies, settle
from duey.storage.values import End, StoredJob, found_as, found_to_queue
from duey.storage.wakeup import Notifier


class SqliteCommands(Commands):
    """A part of SqliteStorage."""

    db: Database
    notifier: Notifier
    ttl: Ttl
    limits: Mapping[str, Limit]

    def look(self, job_id: str) -> StoredJob | None:
        with self.db.read() as con:
            return queries.read_job(con, job_id)

    def end(self, seen: StoredJob, outcome: Outcome) -> bool:
        with self.db.write("synced") as con:
            unblocked = end(con, (seen, outcome), self.ttl)
        if unblocked is None:
            return False
        self.notifier.notify_waiters()
        self.notifier.notify_workers(unblocked)
        return True

    def ask_to_stop(self, seen: StoredJob) -> bool:
        with self.db.write("synced") as con:
            if queries.read_job(con, seen.job.id) != seen:
                return False
            con.execute("insert or ignore into cancel_requests values (?, ?)", (seen.job.seq, clock.now()))
        return True

    def retry(self, job_id: str, payload: bytes | None, retries: int | None, was: str | None = None) -> None:
        with self.db.write("synced") as con:
            before = found_to_queue(queries.read_job(con, job_id), job_id, retries, was)
            retry(con, before, payload, before.job.retries if retries is None else retries)
        self.notifier.notify_workers(1, (before.job.queue,))

    def forget(self, job_id: str, was: str | None = None) -> None:
        with self.db.write("synced") as con:
            found = found_as(queries.read_job(con, job_id), job_id, "delete", ENDED, was)
            drop(con, [(found.job.seq,)])

    def pause(self, kind: str, name: str) -> None:
        with self.db.write("synced") as con:
            con.execute("insert or ignore into pauses values (?, ?, ?)", (kind, name, clock.now()))

    def resume(self, kind: str, name: str) -> int:
        with self.db.write("synced") as con:
            con.execute("delete from pauses where kind = ? and name = ?", (kind, name))
            count = unblock(con, kind, [name])
        self.notifier.notify_workers(count)
        return count

    def unblock_tasks(self, known: Sequence[str]) -> int:
        with self.db.read() as con:
            held = {row[0] for row in con.execute("select distinct name from blocked where kind = 'unknown'")}
            gated = con.execute("select 1 from limits limit 1").fetchone()
        if not (held & set(known) or gated):
            return 0
        with self.db.write("relaxed") as con:
            count = unblock(con, "unknown", sorted(held & set(known)))
            count += policies.recheck(con, self.limits, known)
        self.notifier.notify_workers(count)
        return count


def leave_place(con: sqlite3.Connection, job: JobRecord, place: str) -> None:
    """Remove a job from the table of its place."""
    if place == "ready":
        con.execute("delete from ready where queue = ? and rank = ? and seq = ?", (job.queue, -job.priority, job.seq))
    elif place == "scheduled":
        con.execute("delete from scheduled where at = ? and seq = ?", (job.eta, job.seq))
    else:
        con.execute(f"delete from {place} where seq = ?", (job.seq,))


def end(con: sqlite3.Connection, given: End, ttl: Ttl) -> int | None:
    """End a waiting job. Returns how many other jobs were unblocked; None if it has changed since it was read."""
    before, outcome = given
    job = before.job
    if not before.waits or queries.read_job(con, job.id) != before:
        return None
    # It is claimed for the rest of this transaction, so that it is settled like any other job.
    claim = Claim(schema.manual_token(con), job)
    leave_place(con, job, before.place)
    # If a limit had unblocked this job, settling this claim unblocks the next one.
    con.execute(
        "insert into claimed values (?, ?, 0, ?, (select name from limits where name = ?))",
        (claim.token, job.seq, clock.now(), job.task),
    )
    return settle.settle(con, [outcome._replace(claim=claim)], ttl).unblocked


def retry(con: sqlite3.Connection, before: StoredJob, payload: bytes | None, retries: int) -> None:
    """Queue an ended or retrying job again."""
    job = before.job
    if job.unique_key is not None:
        other = policies.holder(con, job.unique_key, job.id)
        if other:
            raise errors.UniqueConflict(job.unique_key, other)
        policies.take_again(con, job.seq)
    leave_place(con, job, before.place)
    con.execute("delete from progress where seq = ?", (job.seq,))
    if before.state == DONE:  # a failed job continues at its checkpoint, a finished one starts again
        con.execute("delete from checkpoints where seq = ?", (job.seq,))
    con.execute(
        "update jobs set attempt = ?, retries = ?, eta = null, expires_at = null, crashes = 0, failures = 0, "
        "tree_deaths = 0, failed_at = null, payload = coalesce(?, payload) where seq = ?",
        (job.attempt, retries, payload, job.seq),
    )
    con.execute("insert into ready values (?, ?, ?)", (job.queue, -job.priority, job.seq))
    con.execute(schema.EVENT, (job.seq, event.RETRIED, schema.manual_token(con), clock.now(), None, job.attempt, None))


def drop(con: sqlite3.Connection, seqs: Sequence[tuple[int]]) -> None:
    """Remove ended jobs, with their checkpoints, progress and chord parts."""
    con.executemany("delete from chord_parts where cid = (select chord from jobs where seq = ?)", seqs)
    for table in ("progress", "checkpoints", "finished", "jobs"):
        con.executemany(f"delete from {table} where seq = ?", seqs)


def unblock(con: sqlite3.Connection, kind: str, names: Sequence[str]) -> int:
    """Queue again what was set aside for these reasons. Returns the number of jobs."""
    count, token = 0, schema.manual_token(con)
    for name in names:
        rows = con.execute("select seq from blocked where kind = ? and name = ?", (kind, name)).fetchall()
        con.executemany("delete from blocked where seq = ?", rows)
        con.executemany("insert into ready select queue, -priority, seq from jobs where seq = ?", rows)
        con.executemany(
            "insert into outbox (job, kind, token, at, attempt) values (?, 'unblocked', ?, ?, 0)",
            [(seq, token, clock.now()) for (seq,) in rows],
        )
        count += len(rows)
    return count
