"""The workers on SQLite: their rows and lock files, whether they are alive, what they run.

One transaction releases the claims of a dead worker. It holds, for each claim, what duey.storage.deaths decides, and
the removal of the worker's row. Of two rescuers only the one that deletes a claim returns its job. If the process dies
before the commit, the next rescuer finds everything unchanged.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from duey import clock, errors
from duey import files as config_files
from duey.model.job import FREED_AT_START, QUEUED, Claim, Running, WorkerInfo
from duey.model.queues import shown
from duey.storage import presence
from duey.storage.contract import Registration, StoredJob
from duey.storage.deaths import DeadWorker, Fate, fate_of
from duey.storage.presence import rss_of
from duey.storage.sqlite import claim as claiming
from duey.storage.sqlite import policies, schema, settle
from duey.storage.sqlite.database import Database


class WorkerTable:
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
        with self.db.write("relaxed") as con:
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
        with self.db.write("relaxed") as con:
            held = con.execute("select token, seq from claimed where worker = ?", (worker,)).fetchall()
            claiming.release_claims(con, [Claim._make(con.execute(claiming.CLAIMED, each).fetchone()) for each in held])
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
                    planned = plan(con, dead, max_crashes, compose)
                with self.db.write("relaxed", "reap") as con:
                    running = release(con, dead, planned, ttl_s)
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
                    rss_bytes=rss_of(pid), code=code,
                )
            )  # fmt: skip
        return found


def control_signals(con: sqlite3.Connection, n: int) -> tuple[bool, bool]:
    """Whether the worker was asked to be quiet, and whether it was asked to stop."""
    row = con.execute("select quiet, stop from workers where n = ?", (n,)).fetchone()
    return (bool(row[0]), bool(row[1])) if row else (False, False)


class Planned(NamedTuple):
    """One claim of a dead worker, and what will happen to it."""

    claim: Claim
    stopping: bool
    fate: Fate


def plan(con: sqlite3.Connection, dead: DeadWorker, max_crashes: int, compose: Any) -> list[Planned]:
    """Decide on all claims of a worker, before the transaction, because `compose` may call a task's back-off."""
    rows = con.execute("select token, seq from claimed where worker = ?", (dead.worker,)).fetchall()
    found = []
    for token, seq in rows:
        claim = Claim._make(con.execute(claiming.CLAIMED, (token, seq)).fetchone())
        stopping = is_stopping(con, seq)
        found.append(Planned(claim, stopping, fate_of(claim, dead, stopping, max_crashes, compose)))
    return found


def is_stopping(con: sqlite3.Connection, seq: int) -> bool:
    """Whether the job was asked to stop."""
    return con.execute("select 1 from cancel_requests where seq = ?", (seq,)).fetchone() is not None


def release(con: sqlite3.Connection, dead: DeadWorker, planned: Sequence[Planned], ttl_s: float) -> list[str] | None:
    """Release all claims of a worker as planned. Returns the ids of the jobs that its threads handled; None, and
    nothing is changed, if a job was asked to stop meanwhile and the plan must be made again."""
    tokens = {token for (token,) in con.execute("select token from claimed where worker = ?", (dead.worker,))}
    standing = [each for each in planned if each.claim.token in tokens]
    if len(standing) < len(tokens) or any(is_stopping(con, each.claim.seq) != each.stopping for each in standing):
        return None
    for claim, _, fate in standing:
        if fate.crashes is not None:
            con.execute("update jobs set crashes = ? where seq = ?", (fate.crashes, claim.seq))
        if fate.tree_deaths is not None:
            con.execute("update jobs set tree_deaths = ? where seq = ?", (fate.tree_deaths, claim.seq))
        if fate.settlement is not None:
            settle.settle(con, [fate.settlement], ttl_s, ttl_s)
            continue
        put_back(con, claim, fate.kind is not None)
        if fate.kind is not None:
            told = (claim.seq, fate.kind, claim.token, clock.now(), None, claim.attempt, fate.detail)
            con.execute(schema.EVENT, told)
    con.execute("delete from locks where worker = ?", (dead.worker,))
    con.execute("delete from workers where n = ?", (dead.worker,))
    return [claim.id for claim, _, _ in standing if claim.token in dead.marks]


def put_back(con: sqlite3.Connection, claim: Claim, started: bool) -> None:
    """End a claim and put its job back into `ready`. `started`: its body may have begun, so its rate token is spent."""
    (limit_name,) = con.execute("delete from claimed where token = ? returning limit_name", (claim.token,)).fetchone()
    if not started:
        policies.refund(con, limit_name)
    con.execute("insert into ready values (?, ?, ?)", (claim.queue, -claim.priority, claim.seq))
    if claim.flags & FREED_AT_START:
        policies.take_again(con, claim.seq)
