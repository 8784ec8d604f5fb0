"""The workers on SQLite: their rows and lock files, whether they are alive, what they run."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duey import clock, errors
from duey import files as config_files
from duey.model.job import QUEUED, Claim, Running, WorkerInfo
from duey.model.queues import shown
from duey.storage import presence
from duey.storage.contract import Registration, StoredJob
from duey.storage.deaths import DeadWorker
from duey.storage.presence import rss_of
from duey.storage.sqlite import claim, rescuing
from duey.storage.sqlite.database import Database


class Crew:
    """Every worker process on this queue."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.folder = db, folder
        self._looks = 0

    def register(self, registration: Registration) -> presence.Presence:
        """Register this process as a worker. Raises StorageUnavailable, also if its lock file cannot be created."""
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
        said = registration
        with self.db.write("work") as con:
            n = con.execute(
                "insert into workers (consumer, host, pid, started_at, threads, kind, queues, tasks, code) "
                "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    said.consumer, said.host, said.pid, clock.now(), said.threads, said.kind, ",".join(said.queues),
                    ",".join(said.tasks), said.code,
                ),
            ).lastrowid  # fmt: skip
            assert n is not None
            # Inside the transaction, so that a worker whose row is visible always has its lock file.
            return presence.Presence(self.folder, n, said.queues)

    def unregister(self, worker: int) -> None:
        """The clean end of a worker. Claims that it still holds go back to the queue."""
        with self.db.write("work") as con:
            held = con.execute("select token, seq from claims where worker = ?", (worker,)).fetchall()
            claim.release_claims(con, [Claim._make(con.execute(claim.CLAIMED, each).fetchone()) for each in held])
            con.execute("delete from workers where n = ?", (worker,))
            con.execute("delete from locks where worker = ?", (worker,))

    def beat(self, workers: Sequence[int]) -> None:
        """Renew the heartbeat of these workers."""
        for n in workers:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.folder / f"{n}.life")

    def reap(self, dead: DeadWorker, max_crashes: int, compose: Any, ttl_s: float) -> list[str]:
        """Release a dead worker's claims and remove its files. Returns the ids of the jobs that its threads handled.

        Does nothing if the worker is alive or another rescuer handles it.
        """
        dead_presence = presence.DeadPresence(self.folder, dead.worker)
        if not dead_presence.seize():
            return []
        try:
            dead = dead.handled(presence.slots_of(self.folder, dead.worker))
            running = None
            while running is None:
                with self.db.read() as con:
                    planned = rescuing.plan(con, dead, max_crashes, compose)
                with self.db.write("work", "reap") as con:
                    running = rescuing.release(con, dead, planned, ttl_s)
            dead_presence.reap()
        finally:
            dead_presence.leave()
        return running

    def missing(self, own: Sequence[int], consumer: str) -> list[DeadWorker]:
        """Workers whose lock is free. At every 20th call also those that have no lock file any more."""
        numbers = set(presence.numbers(self.folder))
        self._looks += 1
        if self._looks % 20 == 1:
            with self.db.read() as con:
                numbers |= {row[0] for row in con.execute("select n from workers union select worker from claims")}
        found = []
        for n in sorted(numbers - set(own)):
            if not presence.is_alive(self.folder, n):
                with self.db.read() as con:
                    row = con.execute("select host, pid, consumer from workers where n = ?", (n,)).fetchone()
                host, pid, its_own = row or ("an unknown host", 0, None)
                found.append(DeadWorker(n, host, pid, tree=its_own != consumer))
        company = sum(len(presence.slots_of(self.folder, dead.worker)) for dead in found)
        return [dead._replace(company=company) for dead in found]

    def as_it_runs(self, job: StoredJob, token: int | None) -> StoredJob:
        """A claimed job with the instant at which its body began. If no thread handles it, it is shown as queued."""
        if token is None or job.worker is None:
            return job
        started = [slot.started_at for slot in presence.slots_of(self.folder, job.worker) if slot.token == token]
        return job._replace(started_at=started[0] or None) if started else job._replace(started_at=None, state=QUEUED)

    def infos(self, con: sqlite3.Connection) -> list[WorkerInfo]:
        """Every registered worker process, the oldest first."""
        found = []
        for n, host, pid, started_at, threads, kind, queues, quiet, code in con.execute(
            "select n, host, pid, started_at, threads, kind, queues, quiet, code from workers order by n"
        ).fetchall():
            running = []
            for slot in presence.slots_of(self.folder, n):
                job = con.execute(
                    "select id, task from claims join jobs using (seq) where token = ?", (slot.token,)
                ).fetchone()
                if job:
                    running.append(Running(job[0], job[1], slot.started_at or None))
            heartbeat = presence.heartbeat_of(self.folder, n)
            found.append(
                WorkerInfo(
                    id=str(n), host=host, pid=pid, started_at=started_at, heartbeat_at=heartbeat or started_at,
                    workers=threads, worker_type=kind, queues=shown(queues.split(",")),
                    alive=presence.is_alive(self.folder, n), quiet=bool(quiet), running=tuple(running),
                    rss_bytes=rss_of(pid), code=code,
                )
            )  # fmt: skip
        return found


def asked(con: sqlite3.Connection, n: int) -> tuple[bool, bool]:
    """Whether the worker was asked to be quiet, and whether it was asked to stop."""
    row = con.execute("select quiet, stop from workers where n = ?", (n,)).fetchone()
    return (bool(row[0]), bool(row[1])) if row else (False, False)
