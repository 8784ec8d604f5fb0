"""The workers on SQLite: their rows and lock files, whether they are alive, what they run.

One transaction releases the claims of a dead worker. It holds, for each claim, what duey.execution.deaths decides, and
the removal of the worker's row. Of two rescuers only the one that deletes a claim returns its job. If the process dies
before the commit, the next rescuer finds everything unchanged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from duey import clock, errors
from duey import files as config_files
from duey.model import event
from duey.model.job import Running, WorkerInfo
from duey.model.outcome import Ttl
from duey.model.queues import shown
from duey.storage import presence
from duey.storage.contract import Workers
from duey.storage.presence import rss_of, touch
from duey.storage.sqlite import queries
from duey.storage.sqlite.connection import schema
from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.steps import claim as claiming
from duey.storage.sqlite.steps import settle
from duey.storage.values import ALONE, DeadWorker, Fate, Orphans, Registration, Released
from duey.storage.wakeup import Notifier


class SqliteWorkers(Workers):
    """A part of SqliteStorage: every worker process on this queue."""

    db: Database
    folder: Path
    notifier: Notifier
    ttl: Ttl
    _looks = 0

    def register(self, registration: Registration) -> presence.Presence:
        """Raises StorageUnavailable, also if the lock file cannot be created."""
        self.db.make_room()
        try:
            return self._register(registration)
        except OSError as exc:
            raise errors.StorageUnavailable(
                f"no worker can start: {self.folder} cannot be written ({exc.strerror}): make room there, and give "
                "this user write access to it"
            ) from exc

    def _register(self, registration: Registration) -> presence.Presence:
        config_files.make_folder(self.folder)
        config_files.mend(self.folder)
        with self.db.write("relaxed") as con:
            n = con.execute(
                "insert into workers (consumer, host, pid, started_at, threads, kind, queues, tasks, code) "
                "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    registration.consumer, registration.host, registration.pid, clock.now(), registration.threads,
                    registration.kind, ",".join(registration.queues), ",".join(registration.tasks), registration.code,
                ),
            ).lastrowid  # fmt: skip
            assert n is not None
            # Inside the transaction, so that a worker whose row is visible always has its lock file.
            return presence.Presence(self.folder, n, registration.queues)

    def unregister(self, worker: int) -> None:
        with self.db.write("relaxed") as con:
            claiming.release_claims(con, claiming.claims_of(con, worker))
            con.execute("delete from workers where n = ?", (worker,))
            con.execute("delete from locks where worker = ?", (worker,))

    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        """Raises StorageUnavailable if the queue is not there."""
        touch(self.folder, workers)
        self.db.connection("read")

    def slots(self, worker: int) -> list[presence.Slot]:
        return presence.slots_of(self.folder, worker)

    def control_signals(self, worker: int) -> tuple[bool, bool]:
        with self.db.read() as con:
            row = con.execute("select quiet, stop from workers where n = ?", (worker,)).fetchone()
        return (bool(row[0]), bool(row[1])) if row else (False, False)

    def signal_worker(self, worker: int, what: str) -> bool:
        with self.db.write("synced") as con:
            return con.execute(f"update workers set {what} = 1 where n = ?", (worker,)).rowcount == 1

    def worker_infos(self) -> list[WorkerInfo]:
        with self.db.read() as con:
            return self._infos(con)

    def _infos(self, con: sqlite3.Connection) -> list[WorkerInfo]:
        """Every registered worker process, the oldest first."""
        found = []
        for n, host, pid, started_at, threads, kind, queues, quiet, code, consumer in con.execute(
            "select n, host, pid, started_at, threads, kind, queues, quiet, code, consumer from workers order by n"
        ).fetchall():
            running = []
            for slot in presence.slots_of(self.folder, n):
                job = con.execute(
                    "select id, task from claimed join jobs using (seq) where token = ?", (slot.token,)
                ).fetchone()
                if job:
                    running.append(Running(job[0], job[1], slot.started_at or None))
            heartbeat = presence.heartbeat_of(self.folder, n)
            found.append(
                WorkerInfo(
                    id=str(n), host=host, pid=pid, started_at=started_at, heartbeat_at=heartbeat or started_at,
                    workers=threads, worker_type=kind, queues=shown(queues.split(",")),
                    alive=presence.is_alive(self.folder, n), quiet=bool(quiet), running=tuple(running),
                    rss_bytes=rss_of(pid), code=code, consumer=consumer,
                )
            )  # fmt: skip
        return found

    def stopping(self, workers: Sequence[int]) -> set[int]:
        marks = ",".join("?" * len(workers))
        with self.db.read() as con:
            found = con.execute(
                f"select c.token from cancel_requests s join claimed c on c.seq = s.seq where c.worker in ({marks})",
                list(workers),
            )
            return {row[0] for row in found}

    def dead_workers(self, own: Sequence[int] = (), consumer: str = "") -> list[DeadWorker]:
        """Workers whose lock is free. At every 20th call also those that have no lock file any more."""
        numbers = set(presence.numbers(self.folder))
        self._looks += 1
        if self._looks % 20 == 1:
            with self.db.read() as con:
                numbers |= {row[0] for row in con.execute("select n from workers union select worker from claimed")}
        found = []
        for n in sorted(numbers - set(own)):
            if not presence.is_alive(self.folder, n):
                with self.db.read() as con:
                    row = con.execute("select host, pid, consumer from workers where n = ?", (n,)).fetchone()
                host, pid, its_own = row or ("an unknown host", 0, None)
                found.append(DeadWorker(n, host, pid, tree=its_own != consumer))
        company = sum(len(presence.slots_of(self.folder, dead.worker)) for dead in found)
        return [dead._replace(company=company) for dead in found]

    def seized(self, dead: DeadWorker) -> AbstractContextManager[presence.DeadPresence | None]:
        return presence.seized(self.folder, dead.worker)

    def orphans(self, dead: DeadWorker) -> Orphans | None:
        dead = dead.handled(presence.slots_of(self.folder, dead.worker))
        with self.db.read() as con:
            claims = claiming.claims_of(con, dead.worker)
            stopping = queries.asked_to_stop(con, [claim.job.seq for claim in claims])
        return Orphans(dead, [(claim, claim.job.seq in stopping) for claim in claims])

    def release(self, orphans: Orphans, fates: Sequence[Fate], died: str = "") -> Released:
        with self.db.write("relaxed", "reap") as con:
            done = release(con, orphans, fates, died, self.ttl)
        if done is Released.DONE:
            self.notifier.notify_waiters()
            self.notifier.notify_workers(8)
        return done


def release(con: sqlite3.Connection, orphans: Orphans, fates: Sequence[Fate], died: str, ttl: Ttl) -> Released:
    """Release all claims of a dead worker. CHANGED, and nothing is changed, if there are other claims, or other jobs
    were asked to stop, than when they were read."""
    worker = orphans.dead.worker
    tokens = {token for (token,) in con.execute("select token from claimed where worker = ?", (worker,))}
    still_held = [(*each, fate) for each, fate in zip(orphans.claims, fates, strict=True) if each[0].token in tokens]
    stopping = queries.asked_to_stop(con, [claim.job.seq for claim, _, _ in still_held])
    if len(still_held) < len(tokens) or any((claim.job.seq in stopping) != was for claim, was, _ in still_held):
        return Released.CHANGED
    for claim, _, fate in still_held:
        job = claim.job
        if fate.crashes is not None:
            con.execute("update jobs set crashes = ? where seq = ?", (fate.crashes, job.seq))
        if fate.tree_deaths is not None:
            con.execute("update jobs set tree_deaths = ? where seq = ?", (fate.tree_deaths, job.seq))
        if fate.outcome is not None:
            settle.settle(con, [fate.outcome], ttl)
            continue
        claiming.put_back(con, claim, fate.kind is not None)
        if fate.kind is not None:
            row = (job.seq, fate.kind, claim.token, clock.now(), None, job.attempt, fate.detail)
            con.execute(schema.EVENT, row)
    con.execute("delete from locks where worker = ?", (worker,))
    kinds = con.execute("delete from workers where n = ? returning kind", (worker,)).fetchall()
    if died and kinds and kinds[0][0] != ALONE:
        con.execute(schema.EVENT, (0, event.DIED, worker << 32, clock.now(), None, 0, died))
    return Released.DONE
