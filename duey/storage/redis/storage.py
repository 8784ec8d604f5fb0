"""The storage on Redis: implements duey.storage.contract with one server, and a lock file for each worker on its host.

A worker calls `register`, then `settle_and_claim` again and again, then `unregister`. `enqueue_jobs` stores jobs by one
script, which also wakes sleeping workers. Each operation is one Lua script, which is one transaction; flushing and
resuming are many small ones. duey.storage.redis.keys describes the keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from duey.model.job import Claim, Idempotency, JobRecord
from duey.model.outcome import Outcome, Ttl
from duey.storage.compaction import Backlog
from duey.storage.contract import JobStorage
from duey.storage.redis import enqueue
from duey.storage.redis.commands import RedisCommands
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.resp import in_pairs
from duey.storage.redis.keys import prefix
from duey.storage.redis.kv import RedisKeyValue, RedisReports
from duey.storage.redis.maintenance import RedisMaintenance
from duey.storage.redis.outbox import RedisBacklog, RedisOutbox
from duey.storage.redis.queries import RedisQueries
from duey.storage.redis.schedules import RedisScheduleStore
from duey.storage.redis.worker.presence import RedisPresence
from duey.storage.redis.worker.session import WorkerSessions
from duey.storage.redis.workers import RedisWorkers, Watch
from duey.storage.values import ClaimResult, End, EnqueueResult


class RedisStorage(
    RedisReports, RedisWorkers, RedisCommands, RedisQueries, RedisMaintenance, RedisOutbox, JobStorage
):  # fmt: skip
    """One queue on one Redis server. Durability depends on the server's `appendfsync`. The work is here; the classes
    above hold the other ports."""

    backend = "redis"

    def __init__(
        self, name: str = "duey", url: str = "redis://127.0.0.1:6379/0",
        result_ttl_s: float = 86400.0, failed_ttl_s: float = 180 * 86400.0, backlog_rows: int = 1_000_000,
        replicas: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.server = Server(url, prefix(name), replicas)
        self.schedule_store = RedisScheduleStore(self.server)
        self.ttl = Ttl(result_ttl_s, failed_ttl_s)
        self.sessions = WorkerSessions(self.server)
        self.data = RedisKeyValue(self.server, self.sessions)
        self.watch = Watch(self.server)
        self.backlog = Backlog(RedisBacklog(self.server), backlog_rows)

    @property
    def round_trip_s(self) -> float:  # type: ignore[override]
        return self.server.round_trip_s

    def close(self) -> None:
        self.server.close()

    # accepting jobs

    def enqueue_jobs(
        self, jobs: Sequence[JobRecord], idempotency: Idempotency | None = None, max_pending: int = 0,
        ends: Sequence[End] = (),
    ) -> EnqueueResult:  # fmt: skip
        return enqueue.enqueue_jobs(self.server, jobs, idempotency, max_pending, ends, self.ttl)

    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        if self.sessions.sleepers != 0:  # the last turn of this process saw some, or it has had no turn
            self.server.run("wake", count, *queues, again=True)

    # running jobs

    def settle_and_claim(
        self, worker: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str], notified: bool = False,
        ahead: int = 0,
    ) -> ClaimResult:  # fmt: skip
        return self.sessions.settle_and_claim(worker, outcomes, want, queues, self.ttl, self.limits, ahead)

    def hold(self, presence: RedisPresence, token: int) -> bool:
        return self.sessions.hold(presence, token)

    def sync(self) -> None:
        """Does nothing: the server's `appendfsync` decides."""

    def chord_results(self, cid: str, most: int | None = None) -> list[bytes] | None:
        key = self.server.key(f"chord:{cid}")
        if most is not None and self.server.command(b"HLEN", key) > most:
            return None
        parts = dict(in_pairs(self.server.command(b"HGETALL", key)))
        return [parts[index] for index in sorted(parts, key=int)]

    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        self.sessions.release(worker, claims)
