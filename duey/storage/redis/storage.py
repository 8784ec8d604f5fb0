"""The storage on Redis: implements duey.storage.contract with one server, and a lock file for each worker on its host.

A worker calls `register`, then `settle_and_claim` again and again, then `unregister`. `enqueue_jobs` stores jobs by one
script, which also wakes sleeping workers. Each operation is one Lua script, which is one transaction; flushing and
resuming are many small ones. duey.storage.redis.keys describes the keys.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

from duey import clock
from duey.model.event import Event
from duey.model.job import QUEUED, Claim, Counts, Idempotency, JobRecord, QueueInfo, WorkerInfo
from duey.model.outcome import Outcome, Ttl
from duey.storage import presence
from duey.storage.compaction import Backlog
from duey.storage.contract import JobStorage
from duey.storage.redis import codec, commands, enqueue, keys, kv, preflight, queries, schedules
from duey.storage.redis import workers as worker_rows
from duey.storage.redis.client import Server
from duey.storage.redis.presence import RedisPresence, folder_of
from duey.storage.redis.session import WorkerSessions
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

STEP = 500  # jobs that one script removes: limits how long other clients wait


class RedisStorage(JobStorage):
    """One queue on one Redis server. Durability depends on the server's `appendfsync`."""

    backend = "redis"

    def __init__(
        self, name: str = "duey", url: str = "redis://127.0.0.1:6379/0",
        result_ttl_s: float = 86400.0, failed_ttl_s: float = 180 * 86400.0, backlog_rows: int = 1_000_000,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.server = Server(url, keys.prefix(name))
        self.data = kv.KeyValue(self.server)
        self.schedule_store = schedules.RedisScheduleStore(self.server)
        self._url = url
        self._ttl = Ttl(result_ttl_s, failed_ttl_s)
        self._sessions = WorkerSessions(self.server)
        self._watch = worker_rows.Watch(self.server)
        self._backlog = Backlog(queries.RedisBacklog(self.server), backlog_rows)

    @cached_property
    def folder(self) -> Path:
        """The folder of the lock files of workers on this host."""
        return folder_of(self._url, self.server)

    # preparation

    def prepare(self) -> list[str]:
        self.server.open()
        return self.warnings()

    def warnings(self) -> list[str]:
        return preflight.warnings(self.server)

    def close(self) -> None:
        self.server.close()

    # accepting jobs

    def enqueue_jobs(
        self, jobs: Sequence[JobRecord], idempotency: Idempotency | None = None, max_pending: int = 0,
        ends: Sequence[End] = (),
    ) -> EnqueueResult:  # fmt: skip
        return enqueue.enqueue_jobs(self.server, jobs, idempotency, max_pending, ends, self._ttl)

    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        if self._sessions.sleepers != 0:  # the last turn of this process saw some, or it has had no turn
            self.server.run("wake", count, *queues, again=True)

    # running jobs

    def register(self, registration: Registration) -> RedisPresence:
        presence = self._sessions.open(registration, self.folder)
        if registration.kind == "alone":
            presence.beat_alone = lambda: self.beat([presence.n], keys.LEASE_S)
        return presence

    def settle_and_claim(
        self, worker: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str], notified: bool = False
    ) -> ClaimResult:
        return self._sessions.settle_and_claim(worker, outcomes, want, queues, self._ttl, self.limits)

    def hold(self, presence: RedisPresence, token: int) -> bool:
        return presence.hold(token)

    def sync(self) -> None:
        """Does nothing: the server's `appendfsync` decides."""

    def chord_results(self, cid: str) -> list[bytes]:
        return queries.chord_results(self.server, cid)

    def control_signals(self, worker: int) -> tuple[bool, bool]:
        return self._sessions.control_signals(worker)

    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        words = [word for c in claims for word in (c.token & codec.LOW, c.job.id)]
        self.server.run("release_claims", worker, clock.now(), *words, again=True)

    # workers

    def unregister(self, worker: int) -> None:
        self._sessions.forget(worker)  # first, so that no thread of this process registers it again
        # It may have claims from a lost answer; a job of them that was asked to stop is still asked to.
        while (left := self.orphans(DeadWorker(worker, "", 0, False))) is not None:
            if self.release(left, [Fate()] * len(left.claims)) is not Released.CHANGED:
                return

    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        for n in workers:
            with contextlib.suppress(FileNotFoundError):
                os.utime(presence.lock_file(self.folder, n))
        self._watch.beat(workers, lease_s, self.folder)

    def slots(self, worker: int) -> list[presence.Slot]:
        return presence.slots_of(self.folder, worker)

    def dead_workers(self, own: Sequence[int] = (), consumer: str = "") -> list[DeadWorker]:
        missing = [n for n in presence.numbers(self.folder) if n not in own and not presence.is_alive(self.folder, n)]
        company = sum(len(self.slots(n)) for n in missing)
        found = []
        for n in missing:
            its_own = self.server.command(b"HGET", self.server.key(f"worker:{n}"), "consumer")
            found.append(DeadWorker(n, "", 0, tree=its_own != consumer.encode(), company=company))
        overdue = [n for n in self._watch.overdue() if n not in own]
        return [*found, *(DeadWorker(n, "", 0, tree=True, overdue=True) for n in overdue)]

    def seized(self, dead: DeadWorker) -> AbstractContextManager[presence.DeadPresence | None]:
        if dead.overdue:  # its lease decides, also if its process stands still on this host
            return nullcontext(presence.NoPresence())
        return presence.seized(self.folder, dead.worker)

    def orphans(self, dead: DeadWorker) -> Orphans | None:
        return worker_rows.orphans(self.server, self.folder, dead)

    def release(self, orphans: Orphans, fates: Sequence[Fate]) -> Released:
        return worker_rows.release(self.server, orphans, fates, self._ttl)

    # operations by hand

    def look(self, job_id: str) -> StoredJob | None:
        return queries.get_job(self.server, job_id)

    def end(self, seen: StoredJob, outcome: Outcome) -> bool:
        return commands.end(self.server, seen, outcome, self._ttl)

    def ask_to_stop(self, seen: StoredJob) -> bool:
        return bool(commands.apply(self.server, "stop", seen.job.id, seen.version) == 1)

    def stop_requested(self, seqs: Sequence[int]) -> set[int]:
        key = self.server.key("cancel_requests")
        return {seq for seq in seqs if self.server.command(b"SISMEMBER", key, seq)}

    def stopping(self, workers: Sequence[int]) -> set[int]:
        found = self.server.run("stopping", *workers, again=True) if workers else []
        return {codec.token_of(token.decode()) for token in found}

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        return bool(self.server.run("checkpoint", claim.job.id, codec.token_text(claim.token), key, data, again=True))

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        found: bytes | None = self.server.command(b"HGET", self.server.key(f"checkpoints:{claim.job.id}"), key)
        return found

    def put_progress(self, seq: int, data: str) -> None:
        self.server.command(b"HSET", self.server.key("progress"), seq, data)

    def progress_of(self, seq: int) -> str | None:
        data = self.server.command(b"HGET", self.server.key("progress"), seq)
        return None if data is None else data.decode()

    def retry(self, job_id: str, payload: bytes | None, retries: int, was: str | None = None) -> None:
        commands.retry(self.server, job_id, payload, retries, was)

    def forget(self, job_id: str, was: str | None = None) -> None:
        commands.forget(self.server, job_id, was)

    def pause(self, kind: str, name: str) -> None:
        self.server.command(b"SADD", self.server.key("pauses"), f"{kind} {name}")

    def resume(self, kind: str, name: str) -> int:
        self.server.command(b"SREM", self.server.key("pauses"), f"{kind} {name}")
        return commands.unblock(self.server, f"{kind} {name}")

    def unblock_tasks(self, known: Sequence[str]) -> int:
        return commands.unblock_tasks(self.server, known, self.limits)

    def pauses(self) -> set[tuple[str, str]]:
        return queries.pauses(self.server)

    # reading

    def get_job(self, job_id: str) -> StoredJob | None:
        found = self.look(job_id)
        if found is not None and found.token and found.worker is not None:
            reported = self.server.command(b"HGET", self.server.key(f"worker:{found.worker}"), "running")
            started = worker_rows.started(self.folder, found.worker, reported)
            # It was claimed in a batch; perhaps no thread handles it yet.
            state = found.state if found.token in started else QUEUED
            found = found._replace(started_at=started.get(found.token), state=state)
        return found

    def list_jobs(
        self, state: str | None, task: str | None, q: str | None, limit: int, before: int | None, by: str | None = None
    ) -> list[StoredJob]:
        return queries.list_jobs(self.server, state, task, q, limit, before, by)

    def counts(self) -> Counts:
        return queries.counts(self.server)

    def queue_infos(self) -> list[QueueInfo]:
        return queries.queue_infos(self.server, clock.now())

    def worker_infos(self) -> list[WorkerInfo]:
        return worker_rows.infos(self.server, self.folder)

    def signal_worker(self, worker: int, what: str) -> bool:
        return bool(self.server.run("signal_worker", worker, what, again=True))

    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        return queries.wait_ended(self.server, job_id, timeout_s)

    # maintenance and events

    def unknown_before(self, instant: float) -> list[str]:
        return queries.unknown_before(self.server, instant)

    def run_maintenance(self, limit: int = 1000) -> bool:
        more = bool(self.server.run("maintenance", clock.now(), limit, again=True))
        self.server.run("recheck", clock.now(), "")
        return self._backlog.relieve() or more

    def read_outbox(self, limit: int) -> list[EventRow]:
        return queries.read_outbox(self.server, limit)

    def delete_events(self, events: Sequence[Event | EventRow]) -> None:
        queries.delete_events(self.server, events)

    # for Huey

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return queries.payloads(self.server, "ready", limit)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return queries.payloads(self.server, "scheduled", limit)

    def flush_queue(self) -> None:
        self._flush("ready")
        self._flush("blocked")

    def flush_schedule(self) -> None:
        self._flush("scheduled")

    def flush_results(self) -> None:
        self._flush("finished")
        self.server.command(b"DEL", self.server.key("kv"), self.server.key("kv_gone"))

    def _flush(self, place: str) -> None:
        while self.server.run("flush", place, STEP):
            pass
        at = b"-"
        while at := self.server.run("drop_stale", at, STEP):
            pass

    def flush_counters(self) -> None:
        self.server.command(b"DEL", self.server.key("counters"))
