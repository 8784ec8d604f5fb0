"""The storage on SQLite: implements duey.storage.contract with one file, and a folder of lock files and wake-up pipes.

A worker calls `register` (row, lock file, wake-up pipe), then `settle_and_claim` again and again, then `unregister`.
`enqueue_jobs` combines what several threads enqueue at the same time into one synced commit, then wakes sleeping
workers.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from duey import clock
from duey.model.event import Event
from duey.model.job import Claim, Counts, Idempotency, JobRecord, QueueInfo, WorkerInfo
from duey.model.outcome import Outcome, Ttl
from duey.storage import presence, wakeup
from duey.storage.compaction import Backlog
from duey.storage.sqlite import claim as claiming
from duey.storage.sqlite import commands, kv, maintenance, policies, preflight, queries, schedules
from duey.storage.sqlite import workers as worker_rows
from duey.storage.sqlite.database import Database
from duey.storage.sqlite.group_commit import EnqueueCommit, GroupCommit, prepare_connection
from duey.storage.sqlite.huey_methods import HueyMethods
from duey.storage.values import (
    ClaimResult,
    DeadWorker,
    End,
    EnqueueResult,
    EventRow,
    Fate,
    Orphans,
    Registration,
    Released,
    StoredJob,
)  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")


class SqliteStorage(HueyMethods):
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
        self._ttl = Ttl(result_ttl_s, failed_ttl_s)
        self.worker_table = worker_rows.WorkerTable(self.db, self.folder)
        self.reports = kv.Reports(self.db)
        self._expiry = maintenance.Expiry(self.db)
        self._backlog = Backlog(maintenance.SqliteBacklog(self.db), backlog_rows)
        self._notifier = wakeup.Notifier(self.folder)
        self._group_commit = GroupCommit(EnqueueCommit(self.db, self._notifier, self._ttl).commit)
        self._tokens: dict[int, int] = {}

    def _read(self, query: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **named: P.kwargs) -> R:
        with self.db.read() as con:
            return query(con, *args, **named)

    # preparation

    def prepare(self) -> list[str]:
        self.db.prepare()
        return self.warnings()

    def warnings(self) -> list[str]:
        return preflight.warnings(self.db.path)

    def close(self) -> None:
        self.db.close()

    # accepting jobs

    def enqueue_jobs(
        self, jobs: Sequence[JobRecord], idempotency: Idempotency | None = None, max_pending: int = 0,
        ends: Sequence[End] = (),
    ) -> EnqueueResult:  # fmt: skip
        try:
            result: EnqueueResult = self._group_commit.submit((jobs, idempotency, max_pending, ends))
        except policies.MustEndError as exc:
            return EnqueueResult((), must_end=exc.ids)
        return result

    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        self._notifier.notify_workers(count, queues)

    # running jobs

    def register(self, registration: Registration) -> presence.Presence:
        self.db.make_room()
        return self.worker_table.register(registration)

    def settle_and_claim(
        self, worker: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str], notified: bool = False
    ) -> ClaimResult:
        if not (outcomes or notified):
            with self.db.read() as con:
                idle = claiming.idle_result(con, want, queues)
            if idle is not None:
                return idle
        answer, unblocked = self._settle_and_claim(worker, outcomes, want, queues)
        while answer.more and not answer.claims:  # it found only jobs to set aside, up to BLOCK_STEP
            answer = self._settle_and_claim(worker, (), want, queues)[0]._replace(lost=answer.lost)
        if outcomes:
            self._notifier.notify_waiters()
            if answer.more or not want:  # it queued jobs that it did not claim itself
                self._notifier.notify_for(queue for outcome in outcomes for queue in outcome.made_ready)
                self.wake(unblocked)
        return answer

    def _settle_and_claim(
        self, worker: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str]
    ) -> tuple[ClaimResult, int]:
        first = self._tokens.get(worker, worker << 32)
        self._tokens[worker], ttl, limits = first + want, self._ttl, self.limits
        with self.db.write("relaxed", "settle") as con:
            return claiming.settle_and_claim(con, worker, first, outcomes, want, queues, ttl, limits)

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
        return self._read(queries.chord_results, cid)

    def control_signals(self, worker: int) -> tuple[bool, bool]:
        return self._read(worker_rows.control_signals, worker)

    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        with self.db.write("relaxed") as con:
            count = claiming.release_claims(con, claims)
        self.wake(count, sorted({claim.job.queue for claim in claims}))

    def unregister(self, worker: int) -> None:
        self.worker_table.unregister(worker)

    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        self.worker_table.beat(workers)

    def slots(self, worker: int) -> list[presence.Slot]:
        return presence.slots_of(self.folder, worker)

    def dead_workers(self, own: Sequence[int] = (), consumer: str = "") -> list[DeadWorker]:
        return self.worker_table.missing(own, consumer)

    def seized(self, dead: DeadWorker) -> AbstractContextManager[presence.DeadPresence | None]:
        return presence.seized(self.folder, dead.worker)

    def orphans(self, dead: DeadWorker) -> Orphans | None:
        return self.worker_table.orphans(dead)

    def release(self, orphans: Orphans, fates: Sequence[Fate]) -> Released:
        with self.db.write("relaxed", "reap") as con:
            done = worker_rows.release(con, orphans, fates, self._ttl)
        if done is Released.DONE:
            self._notifier.notify_waiters()
            self.wake(8)
        return done

    # operations by hand

    def look(self, job_id: str) -> StoredJob | None:
        return self._read(queries.get_job, job_id)

    def end(self, seen: StoredJob, outcome: Outcome) -> bool:
        with self.db.write("synced") as con:
            unblocked = commands.end(con, (seen, outcome), self._ttl)
        if unblocked is None:
            return False
        self._notifier.notify_waiters()
        self.wake(unblocked)
        return True

    def ask_to_stop(self, seen: StoredJob) -> bool:
        with self.db.write("synced") as con:
            return commands.ask_to_stop(con, seen)

    def stop_requested(self, seqs: Sequence[int]) -> set[int]:
        return self._read(queries.stop_requested, seqs)

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
            before = commands.find_as(con, job_id, "retry", was)
            commands.retry(con, before, payload, retries)
        self.wake(1, (before.job.queue,))

    def forget(self, job_id: str, was: str | None = None) -> None:
        with self.db.write("synced") as con:
            commands.forget(con, commands.find_as(con, job_id, "delete", was))

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
        return self._read(queries.pauses)

    # reading

    def get_job(self, job_id: str) -> StoredJob | None:
        found = self.look(job_id)
        return None if found is None else self.worker_table.as_it_runs(found)

    def list_jobs(
        self, state: str | None, task: str | None, q: str | None, limit: int, before: int | None, by: str | None = None
    ) -> list[StoredJob]:
        return self._read(queries.list_jobs, state, task, q, limit, before, by)

    def counts(self) -> Counts:
        return self._read(queries.counts)

    def queue_infos(self) -> list[QueueInfo]:
        return self._read(queries.queue_infos, clock.now())

    def worker_infos(self) -> list[WorkerInfo]:
        return self._read(self.worker_table.infos)

    def signal_worker(self, worker: int, what: str) -> bool:
        with self.db.write("synced") as con:
            return con.execute(f"update workers set {what} = 1 where n = ?", (worker,)).rowcount == 1

    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        return wakeup.wait_until(
            self.folder, lambda: self.data.has(job_id) or self._read(queries.has_ended, job_id), timeout_s
        )

    # maintenance and events

    def unknown_before(self, instant: float) -> list[str]:
        return self._read(maintenance.unknown_before, instant)

    def run_maintenance(self, limit: int = 1000) -> bool:
        more = self._expiry.step(clock.now(), limit)
        with self.db.write("relaxed") as con:
            unblocked = policies.recheck(con)
        self.wake(unblocked)
        self.db.checkpoint()
        return self._backlog.relieve() or more

    def read_outbox(self, limit: int) -> list[EventRow]:
        return self._read(queries.read_outbox, limit)

    def delete_events(self, events: Sequence[Event | EventRow]) -> None:
        queries.delete_events(self.db, events)
