"""The storage on SQLite: implements duey.storage.contract with one file, and a folder of lock files and wake-up pipes.

A worker calls `register` (row, lock file, wake-up pipe), then `settle_and_claim` again and again, then `unregister`.
`enqueue_jobs` combines what several threads enqueue at the same time into one synced commit, then wakes sleeping
workers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from duey.model.job import Claim, Idempotency, JobRecord
from duey.model.outcome import Outcome, Ttl
from duey.storage.compaction import Backlog
from duey.storage.contract import JobStorage
from duey.storage.presence import Presence
from duey.storage.sqlite.commands import SqliteCommands
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.group_commit import EnqueueCommit, GroupCommit, prepare_connection
from duey.storage.sqlite.kv import SqliteKeyValue, SqliteReports
from duey.storage.sqlite.maintenance import Expiry, SqliteMaintenance
from duey.storage.sqlite.outbox import SqliteBacklog, SqliteOutbox
from duey.storage.sqlite.queries import SqliteQueries
from duey.storage.sqlite.schedules import SqliteScheduleStore
from duey.storage.sqlite.steps import claim as claiming
from duey.storage.sqlite.steps.policies import MustEndError
from duey.storage.sqlite.workers import SqliteWorkers
from duey.storage.values import ClaimResult, End, EnqueueResult
from duey.storage.wakeup import Notifier


class SqliteStorage(
    SqliteReports, SqliteWorkers, SqliteCommands, SqliteQueries, SqliteMaintenance, SqliteOutbox, JobStorage
):  # fmt: skip
    """One queue in one SQLite file. The work is here; the classes above hold the other ports."""

    backend = "sqlite"

    def __init__(
        self, name: str = "duey", path: Path | str = "queue.db", durable: bool = True, busy_s: float = 5.0,
        result_ttl_s: float = 86400.0, failed_ttl_s: float = 180 * 86400.0, backlog_rows: int = 1_000_000,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.db = Database(path, durable, busy_s, prepare_connection)
        self.folder = Path(f"{self.db.path}-workers")
        self.data = SqliteKeyValue(self.db)
        self.schedule_store = SqliteScheduleStore(self.db, self.wake)
        self.ttl = Ttl(result_ttl_s, failed_ttl_s)
        self.expiry = Expiry(self.db)
        self.backlog = Backlog(SqliteBacklog(self.db), backlog_rows)
        self.notifier = Notifier(self.folder)
        self._group_commit = GroupCommit(EnqueueCommit(self.db, self.notifier, self.ttl).commit)
        self._tokens: dict[int, int] = {}

    def close(self) -> None:
        self.db.close()
        self.notifier.close()

    # accepting jobs

    def enqueue_jobs(
        self, jobs: Sequence[JobRecord], idempotency: Idempotency | None = None, max_pending: int = 0,
        ends: Sequence[End] = (),
    ) -> EnqueueResult:  # fmt: skip
        try:
            result: EnqueueResult = self._group_commit.submit((jobs, idempotency, max_pending, ends))
        except MustEndError as exc:
            return EnqueueResult((), must_end=exc.ids)
        return result

    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        self.notifier.notify_workers(count, queues)

    # running jobs

    def settle_and_claim(
        self, worker: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str], notified: bool = False,
        ahead: int = 0,
    ) -> ClaimResult:  # fmt: skip
        if not (outcomes or notified):
            with self.db.read(placed=False) as con:
                idle = claiming.idle_result(con, want, queues)
            if idle is not None:
                return idle
        answer, unblocked = self._settle_and_claim(worker, outcomes, want, queues)
        while answer.more and not answer.claims:  # it found only jobs to set aside, up to BLOCK_STEP
            answer = self._settle_and_claim(worker, (), want, queues)[0]._replace(lost=answer.lost)
        if outcomes:
            self.notifier.notify_waiters()
            if answer.more or not want:  # it queued jobs that it did not claim itself
                self.notifier.notify_for(queue for outcome in outcomes for queue in outcome.made_ready)
                self.wake(unblocked)
        return answer

    def _settle_and_claim(
        self, worker: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str]
    ) -> tuple[ClaimResult, int]:
        first = self._tokens.get(worker, worker << 32)
        self._tokens[worker], ttl, limits = first + want, self.ttl, self.limits
        with self.db.write("relaxed", "settle") as con:
            return claiming.settle_and_claim(con, worker, first, outcomes, want, queues, ttl, limits)

    def hold(self, presence: Presence, token: int) -> bool:
        if self.db.durable:
            presence.sync()
        self.sync()
        return True  # a rescuer takes no claims of a living worker

    def sync(self) -> None:
        if self.db.durable:
            with suppress(FileNotFoundError), open(f"{self.db.path}-wal", "rb") as log:  # none: all is in the file
                os.fdatasync(log.fileno())

    def chord_results(self, cid: str, most: int | None = None) -> list[bytes] | None:
        rows = "select value from chord_parts where cid = ? order by idx limit ?"
        with self.db.read() as con:
            found = [row[0] for row in con.execute(rows, (cid, -1 if most is None else most + 1))]
        return None if most is not None and len(found) > most else found

    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        with self.db.write("relaxed") as con:
            count = claiming.release_claims(con, claims)
        self.wake(count, sorted({claim.job.queue for claim in claims}))
