"""The storage on SQLite: implements duey.storage.contract with one file, and a folder of lock files and wake-up pipes.

A worker calls `register` (row, lock file, wake-up pipe), then `settle_and_claim` again and again, then `unregister`.
`accept` combines what several threads enqueue at the same time into one synced commit, then wakes sleeping workers.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from duey import clock
from duey.model.event import Event
from duey.model.job import Claim, Counts, Idempotency, NewJob, QueueInfo, Settlement, WorkerInfo, queues_more
from duey.storage import presence, wakeup
from duey.storage.compaction import Backlog
from duey.storage.contract import ClaimResult, EnqueueResult, JobStorage, Registration, StoredJob
from duey.storage.deaths import DeadWorker
from duey.storage.sqlite import (
    booking,
    commands,
    counting,
    kv,
    maintenance,
    policies,
    queries,
    saying,
    schedules,
    turning,
)
from duey.storage.sqlite import claim as claiming
from duey.storage.sqlite import workers as crew
from duey.storage.sqlite.acceptor import Acceptor
from duey.storage.sqlite.database import Database, filesystem_of
from duey.storage.sqlite.group_commit import GroupCommit


class SqliteStorage(JobStorage):
    """One queue in one SQLite file."""

    backend = "sqlite"

    def __init__(
        self, name: str = "duey", path: Path | str = "queue.db", durable: bool = True, busy_s: float = 5.0,
        result_ttl_s: float = 86400.0, failed_ttl_s: float = 180 * 86400.0, backlog_rows: int = 1_000_000,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.db = Database(path, durable, busy_s)
        self.folder = Path(f"{self.db.path}-workers")
        self.data = kv.KeyValue(self.db)
        self.schedule_store = schedules.SqliteScheduleStore(self.db, self.wake)
        self._ttl = turning.Ttl(result_ttl_s, failed_ttl_s)
        self.crew = crew.Crew(self.db, self.folder)
        self.said = saying.Said(self.db)
        self._expiry = maintenance.Expiry(self.db)
        self._backlog = Backlog(counting.SqliteBacklog(self.db), backlog_rows)
        self._notifier = wakeup.Notifier(self.folder)
        self._group_commit = GroupCommit(Acceptor(self.db, self._notifier, self._replace).accept)
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

    def accept(
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
        return self.crew.register(registration)

    def settle_and_claim(
        self, worker: int, settlements: Sequence[Settlement], want: int, queues: Sequence[str], notified: bool = False
    ) -> ClaimResult:
        if not (settlements or notified):
            with self.db.read() as con:
                idle = turning.look(con, want, queues)
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
        with self.db.write("work", "settle") as con:
            return turning.settle_and_claim(con, worker, first, settlements, want, queues, self.compose, ttl, limits)

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

    def asked(self, worker: int) -> tuple[bool, bool]:
        with self.db.read() as con:
            return crew.asked(con, worker)

    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        with self.db.write("work") as con:
            count = claiming.release_claims(con, claims)
        self.wake(count, sorted({claim.queue for claim in claims}))

    def unregister(self, worker: int) -> None:
        self.crew.unregister(worker)

    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        self.crew.beat(workers)

    def slots(self, worker: int) -> list[presence.Slot]:
        return presence.slots_of(self.folder, worker)

    def reap(self, dead: DeadWorker, max_crashes: int) -> list[str]:
        running = self.crew.reap(dead, max_crashes, self.compose, self._ttl.failed_s)
        self._notifier.notify_waiters()
        self.wake(8)
        return running

    def rescue(self, max_crashes: int, own: Sequence[int] = (), consumer: str = "") -> list[str]:
        found: list[str] = []
        for dead in self.crew.missing(own, consumer):
            found += self.reap(dead, max_crashes)
        return found

    # operations by hand

    def cancel(self, job_id: str, was: str | None = None) -> str | None:
        with self.db.write("accept") as con:
            job = commands.find_as(con, job_id, "cancel", was)
            unblocked = commands.cancel(con, job, self.compose, self._ttl.result_s)
        self._notifier.notify_waiters()
        self.wake(unblocked)
        return job.state

    def stop_asked(self, seqs: Sequence[int]) -> set[int]:
        with self.db.read() as con:
            return queries.holder_of(con, seqs)

    def stopping(self, workers: Sequence[int]) -> set[int]:
        return self.said.stopping(workers)

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        return self.said.put_checkpoint(claim, key, data)

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        return self.said.checkpoint_of(claim, key)

    def put_progress(self, seq: int, data: str) -> None:
        self.said.put_progress(seq, data)

    def progress_of(self, seq: int) -> str | None:
        return self.said.progress_of(seq)

    def retry(self, job_id: str, payload: bytes | None, retries: int, was: str | None = None) -> None:
        with self.db.write("accept") as con:
            job = commands.find_as(con, job_id, "retry", was)
            commands.retry(con, job, payload, retries)
        self.wake(1, (job.queue,))

    def forget(self, job_id: str, was: str | None = None) -> bool:
        with self.db.write("accept") as con:
            commands.forget(con, commands.find_as(con, job_id, "delete", was))
        return True

    def pause(self, kind: str, name: str) -> None:
        with self.db.write("accept") as con:
            con.execute("insert or ignore into pauses values (?, ?, ?)", (kind, name, clock.now()))

    def resume(self, kind: str, name: str) -> int:
        with self.db.write("accept") as con:
            con.execute("delete from pauses where kind = ? and name = ?", (kind, name))
            count = commands.unpark(con, kind, [name])
        self.wake(count)
        return count

    def unpark_tasks(self, known: Sequence[str]) -> int:
        with self.db.read() as con:
            held = {row[0] for row in con.execute("select distinct name from parked where kind = 'unknown'")}
            gated = con.execute("select 1 from gates limit 1").fetchone()
        if not (held & set(known) or gated):
            return 0
        with self.db.write("work") as con:
            count = commands.unpark(con, "unknown", sorted(held & set(known)))
            count += policies.recheck(con, self.limits, known)
        self.wake(count)
        return count

    def pauses(self) -> set[tuple[str, str]]:
        with self.db.read() as con:
            return set(con.execute("select kind, name from pauses"))

    # reading

    def look(self, job_id: str) -> StoredJob | None:
        with self.db.read() as con:
            found = queries.look(con, job_id)
        return None if found is None else self.crew.as_it_runs(*found)

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
            return self.crew.infos(con)

    def ask_worker(self, worker: int, what: str) -> bool:
        with self.db.write("accept") as con:
            return con.execute(f"update workers set {what} = 1 where n = ?", (worker,)).rowcount == 1

    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        return wakeup.wait_until(self.folder, lambda: self.data.has(job_id) or self._has_ended(job_id), timeout_s)

    def _has_ended(self, job_id: str) -> bool:
        with self.db.read() as con:
            return queries.has_ended(con, job_id)

    # maintenance and events

    def run_maintenance(self, limit: int = 1000) -> bool:
        more = self._expiry.step(clock.now(), limit)
        with self.db.write("work") as con:
            maintenance.fail_unknown(con, clock.now(), self.compose, self._ttl.failed_s)
            unblocked = policies.recheck(con)
        self.wake(unblocked)
        self.db.checkpoint()
        return self._backlog.relieve() or more

    def read_events(self, limit: int) -> list[Event]:
        return booking.read(self.db, limit, self.compose)

    def delete_events(self, events: Sequence[Event]) -> None:
        booking.delete(self.db, events)

    # for Huey

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("ready r join jobs j using (seq) order by r.rank, r.seq", limit)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("due d join jobs j using (seq) order by d.at, d.seq", limit)

    def _payloads(self, source: str, limit: int | None) -> list[bytes]:
        with self.db.read() as con:
            rows = con.execute(f"select payload from {source} limit ?", (-1 if limit is None else limit,))
            return [row[0] for row in rows]

    def flush_queue(self) -> None:
        self._flush("ready", "parked")

    def flush_schedule(self) -> None:
        self._flush("due")

    def _flush(self, *places: str) -> None:
        with self.db.write("accept") as con:
            for place in places:
                maintenance.empty(con, place)

    def flush_results(self) -> None:
        with self.db.write("work") as con:
            maintenance.forget_ended(con)

    def flush_counters(self) -> None:
        with self.db.write("work") as con:
            con.execute("delete from counters")
