"""The storage on SQLite: implements duey.storage.contract with one file, and a folder of lock files and wake-up pipes.

A worker calls `register` (row, lock file, wake-up pipe), then `settle_and_claim` again and again, then `unregister`.
`enqueue_jobs` combines what several threads enqueue at the same time into one synced commit, then wakes sleeping
workers.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from duey import clock
from duey.files import filesystem_of
from duey.model.event import Event
from duey.model.job import Claim, Counts, Idempotency, NewJob, QueueInfo, Settlement, WorkerInfo, queues_more
from duey.storage import presence, wakeup
from duey.storage.compaction import Backlog
from duey.storage.contract import ClaimResult, EnqueueResult, JobStorage, Registration, StoredJob
from duey.storage.deaths import DeadWorker
from duey.storage.sqlite import claim as claiming
from duey.storage.sqlite import commands, kv, maintenance, policies, queries, schedules
from duey.storage.sqlite import workers as worker_rows
from duey.storage.sqlite.database import Database
from duey.storage.sqlite.group_commit import EnqueueCommit, GroupCommit, prepare_connection


class SqliteStorage(JobStorage):
    """One queue in one SQLite file."""

    backend = "sqlite"

    def __init__(
        self, name: str = "duey", path: Path | str = "queue.db", durable: bool = True, busy_s: float = 5.0,
        result_ttl_s: float = 86400.0, failed_ttl_s: float = 180 * 86400.0, backlog_rows: int = 1_000_000,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.db = Database(path, durable, busy_s, prepare_connection)
        self.folder = Path(f"{self.db.path}-workers")
        self.data = kv.KeyValue(self.db)
        self.schedule_store = schedules.SqliteScheduleStore(self.db, self.wake)
        self._ttl = claiming.Ttl(result_ttl_s, failed_ttl_s)
        self.worker_table = worker_rows.WorkerTable(self.db, self.folder)
        self.reports = kv.Reports(self.db)
        self._expiry = maintenance.Expiry(self.db)
        self._backlog = Backlog(maintenance.SqliteBacklog(self.db), backlog_rows)
        self._notifier = wakeup.Notifier(self.folder)
        self._group_commit = GroupCommit(EnqueueCommit(self.db, self._notifier, self._replace).commit)
        self._tokens: dict[int, int] = {}

    # preparation

    def prepare(self) -> list[str]:
        self.db.prepare()
        return self.warnings()

    def warnings(self) -> list[str]:
        kind = filesystem_of(self.db.path)
        if kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"):
            return [f"the queue {self.db.path} is on a network filesystem ({kind}), where SQLite's locks do not hold"]
        return []

    def close(self) -> None:
        self.db.close()

    # accepting jobs

    def enqueue_jobs(
        self, jobs: Sequence[NewJob], idempotency: Idempotency | None = None, max_pending: int = 0
    ) -> EnqueueResult:
        acceptance: EnqueueResult = self._group_commit.submit((jobs, idempotency, max_pending))
        return acceptance

    def _replace(self, con: sqlite3.Connection, job_id: str, by: str) -> bool:
        return commands.replace(con, job_id, by, self.compose, self._ttl.result_s)

    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        self._notifier.notify_workers(count, queues)

    # running jobs

    def register(self, registration: Registration) -> presence.Presence:
        self.db.make_room()
        return self.worker_table.register(registration)

    def settle_and_claim(
        self, worker: int, settlements: Sequence[Settlement], want: int, queues: Sequence[str], notified: bool = False
    ) -> ClaimResult:
        if not (settlements or notified):
            with self.db.read() as con:
                idle = claiming.idle_result(con, want, queues)
            if idle is not None:
                return idle
        answer, unblocked = self._settle_and_claim(worker, settlements, want, queues)
        while answer.more and not answer.claims:  # it met only jobs that were set aside, and reached PARK_STEP
            answer = self._settle_and_claim(worker, (), want, queues)[0]._replace(lost=answer.lost)
        if settlements:
            self._notifier.notify_waiters()
            if answer.more or not want:  # it queued jobs that it did not claim itself
                self._notifier.notify_for(queue for settlement in settlements for queue in queues_more(settlement))
                self.wake(unblocked)
        return answer

    def _settle_and_claim(
        self, worker: int, settlements: Sequence[Settlement], want: int, queues: Sequence[str]
    ) -> tuple[ClaimResult, int]:
        first = self._tokens.get(worker, worker << 32)
        self._tokens[worker], ttl, limits = first + want, self._ttl, self.limits
        with self.db.write("relaxed", "settle") as con:
            return claiming.settle_and_claim(con, worker, first, settlements, want, queues, self.compose, ttl, limits)

    def hold(self, presence: presence.Presence, token: int) -> bool:
        if self.db.durable:
            presence.sync()
        self.sync()
        return True  # a rescuer takes no claims of a living worker

    def sync(self) -> None:
        if self.db.durable:
            with suppress(FileNotFoundError), open(f"{self.db.path}-wal", "rb") as log:  # none: all is in the file
                os.fdatasync(log.fileno())

    def chord_results(self, cid: str) -> list[bytes]:
        with self.db.read() as con:
            return [row[0] for row in con.execute("select value from chord_parts where cid = ? order by idx", (cid,))]

    def control_signals(self, worker: int) -> tuple[bool, bool]:
        with self.db.read() as con:
            return worker_rows.control_signals(con, worker)

    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        with self.db.write("relaxed") as con:
            count = claiming.release_claims(con, claims)
        self.wake(count, sorted({claim.queue for claim in claims}))

    def unregister(self, worker: int) -> None:
        self.worker_table.unregister(worker)

    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        self.worker_table.beat(workers)

    def slots(self, worker: int) -> list[presence.Slot]:
        return presence.slots_of(self.folder, worker)

    def reap(self, dead: DeadWorker, max_crashes: int) -> list[str]:
        running = self.worker_table.reap(dead, max_crashes, self.compose, self._ttl.failed_s)
        self._notifier.notify_waiters()
        self.wake(8)
        return running

    def rescue(self, max_crashes: int, own: Sequence[int] = (), consumer: str = "") -> list[str]:
        found: list[str] = []
        for dead in self.worker_table.missing(own, consumer):
            found += self.reap(dead, max_crashes)
        return found

    # operations by hand

    def cancel(self, job_id: str, was: str | None = None) -> str | None:
        with self.db.write("synced") as con:
            job = commands.find_as(con, job_id, "cancel", was)
            unblocked = commands.cancel(con, job, self.compose, self._ttl.result_s)
        self._notifier.notify_waiters()
        self.wake(unblocked)
        return job.state

    def stop_requested(self, seqs: Sequence[int]) -> set[int]:
        with self.db.read() as con:
            return queries.stop_requested(con, seqs)

    def stopping(self, workers: Sequence[int]) -> set[int]:
        return self.reports.stopping(workers)

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        return self.reports.put_checkpoint(claim, key, data)

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        return self.reports.checkpoint_of(claim, key)

    def put_progress(self, seq: int, data: str) -> None:
        self.reports.put_progress(seq, data)

    def progress_of(self, seq: int) -> str | None:
        return self.reports.progress_of(seq)

    def retry(self, job_id: str, payload: bytes | None, retries: int, was: str | None = None) -> None:
        with self.db.write("synced") as con:
            job = commands.find_as(con, job_id, "retry", was)
            commands.retry(con, job, payload, retries)
        self.wake(1, (job.queue,))

    def forget(self, job_id: str, was: str | None = None) -> bool:
        with self.db.write("synced") as con:
            commands.forget(con, commands.find_as(con, job_id, "delete", was))
        return True

    def pause(self, kind: str, name: str) -> None:
        with self.db.write("synced") as con:
            con.execute("insert or ignore into pauses values (?, ?, ?)", (kind, name, clock.now()))

    def resume(self, kind: str, name: str) -> int:
        with self.db.write("synced") as con:
            con.execute("delete from pauses where kind = ? and name = ?", (kind, name))
            count = commands.unblock(con, kind, [name])
        self.wake(count)
        return count

    def unblock_tasks(self, known: Sequence[str]) -> int:
        with self.db.read() as con:
            held = {row[0] for row in con.execute("select distinct name from blocked where kind = 'unknown'")}
            gated = con.execute("select 1 from limits limit 1").fetchone()
        if not (held & set(known) or gated):
            return 0
        with self.db.write("relaxed") as con:
            count = commands.unblock(con, "unknown", sorted(held & set(known)))
            count += policies.recheck(con, self.limits, known)
        self.wake(count)
        return count

    def pauses(self) -> set[tuple[str, str]]:
        with self.db.read() as con:
            return set(con.execute("select kind, name from pauses"))

    # reading

    def get_job(self, job_id: str) -> StoredJob | None:
        with self.db.read() as con:
            found = queries.get_job(con, job_id)
        return None if found is None else self.worker_table.as_it_runs(*found)

    def list_jobs(
        self, state: str | None, task: str | None, q: str | None, limit: int, before: int | None, by: str | None = None
    ) -> list[StoredJob]:
        with self.db.read() as con:
            return queries.list_jobs(con, state, task, q, limit, before, by)

    def counts(self) -> Counts:
        with self.db.read() as con:
            return queries.counts(con)

    def queue_infos(self) -> list[QueueInfo]:
        with self.db.read() as con:
            return queries.queue_infos(con, clock.now())

    def worker_infos(self) -> list[WorkerInfo]:
        with self.db.read() as con:
            return self.worker_table.infos(con)

    def signal_worker(self, worker: int, what: str) -> bool:
        with self.db.write("synced") as con:
            return con.execute(f"update workers set {what} = 1 where n = ?", (worker,)).rowcount == 1

    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        return wakeup.wait_until(self.folder, lambda: self.data.has(job_id) or self._has_ended(job_id), timeout_s)

    def _has_ended(self, job_id: str) -> bool:
        with self.db.read() as con:
            return queries.has_ended(con, job_id)

    # maintenance and events

    def run_maintenance(self, limit: int = 1000) -> bool:
        more = self._expiry.step(clock.now(), limit)
        with self.db.write("relaxed") as con:
            maintenance.fail_unknown(con, clock.now(), self.compose, self._ttl.failed_s)
            unblocked = policies.recheck(con)
        self.wake(unblocked)
        self.db.checkpoint()
        return self._backlog.relieve() or more

    def read_events(self, limit: int) -> list[Event]:
        return queries.read_outbox(self.db, limit, self.compose)

    def delete_events(self, events: Sequence[Event]) -> None:
        queries.delete_events(self.db, events)

    # for Huey

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("ready r join jobs j using (seq) order by r.rank, r.seq", limit)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("scheduled d join jobs j using (seq) order by d.at, d.seq", limit)

    def _payloads(self, source: str, limit: int | None) -> list[bytes]:
        with self.db.read() as con:
            rows = con.execute(f"select payload from {source} limit ?", (-1 if limit is None else limit,))
            return [row[0] for row in rows]

    def flush_queue(self) -> None:
        self._flush("ready", "blocked")

    def flush_schedule(self) -> None:
        self._flush("scheduled")

    def _flush(self, *places: str) -> None:
        with self.db.write("synced") as con:
            for place in places:
                maintenance.empty(con, place)

    def flush_results(self) -> None:
        with self.db.write("relaxed") as con:
            maintenance.forget_ended(con)

    def flush_counters(self) -> None:
        with self.db.write("relaxed") as con:
            con.execute("delete from counters")
