"""The workers on Redis: their rows and lock files, whether they are alive, what they run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duey import clock, errors, faults
from duey.model.job import Claim, Running, WorkerInfo
from duey.model.queues import shown
from duey.storage import presence
from duey.storage.deaths import DeadWorker, fate_of
from duey.storage.presence import HOST, rss_of
from duey.storage.redis import codec
from duey.storage.redis.client import Server
from duey.storage.redis.keys import LEASE_S
from duey.storage.redis.presence import running_of, running_text


def started(folder: Path, n: int, said: bytes | None) -> dict[int, float | None]:
    """The tokens that worker n handles, and when their bodies began. Read from its file on this host, or from Redis."""
    slots = presence.slots_of(folder, n) or running_of(said)
    return {slot.token: slot.started_at or None for slot in slots}


def infos(server: Server, folder: Path) -> list[WorkerInfo]:
    """Every registered worker process, the oldest first."""
    found = []
    for number, leased, row, jobs in server.run("workers", again=True):
        n = int(number)
        host, pid, started_at, beat_at, threads, kind, queues, quiet, said, code = row
        if host is None:
            continue
        held = {
            (n << 32) | int(jobs[i]): (jobs[i + 1].decode(), (jobs[i + 2] or b"").decode())
            for i in range(0, len(jobs), 3)
        }
        running = [Running(*held[token], since) for token, since in started(folder, n, said).items() if token in held]
        here = n in presence.numbers(folder)
        found.append(
            WorkerInfo(
                id=str(n), host=host.decode(), pid=int(pid), started_at=float(started_at),
                heartbeat_at=float(beat_at), workers=int(threads), worker_type=kind.decode(),
                queues=shown(queues.decode().split(",")),
                alive=bool(leased) and (not here or presence.is_alive(folder, n)), quiet=bool(quiet),
                running=tuple(running), rss_bytes=rss_of(int(pid)) if host.decode() == HOST else None,
                code=(code or b"").decode(),
            )
        )  # fmt: skip
    return sorted(found, key=lambda info: int(info.id))


CHANGED = 2  # answer of reap.lua: read the claims again


class Watch:
    """Renews the leases of the workers of this process, and finds expired ones of others."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lease_s = LEASE_S
        self._beat_due: dict[int, float] = {}  # monotonic
        self._told: dict[int, str] = {}
        self._looked_at: float | None = None
        self._doubt_until = 0.0

    @property
    def grace_s(self) -> float:
        """How long living workers have to renew their leases after an interruption, in seconds."""
        return max(2.0, self._lease_s / 3)

    def beat(self, workers: Sequence[int], lease_s: float, folder: Path) -> None:
        """Renew the leases when it is time, and report what the workers run."""
        now, self._lease_s = time.monotonic(), lease_s
        words: list[Any] = []
        for n in workers:
            text = running_text(presence.slots_of(folder, n))
            due = now >= self._beat_due.get(n, now)
            if due or (text and text != self._told.get(n)):
                words += (n, text)
                self._told[n] = text
        if not words:
            return
        try:
            self._server.run("beat", int(lease_s * 1000), *words, again=True)
        except errors.StorageUnavailable:
            self.doubt()
            self._beat_due.clear()
            raise
        self._beat_due = {n: now + lease_s / 5 if n in words[::2] else self._beat_due[n] for n in workers}

    def doubt(self) -> None:
        """Declare no worker dead for a while, because others may have lost their connection too."""
        self._doubt_until = time.monotonic() + self.grace_s

    def overdue(self) -> list[int]:
        """The workers whose lease has expired. Empty while it is not certain that they could have renewed it."""
        now, before = time.monotonic(), self._looked_at
        self._looked_at = now
        if before is not None and now - before > max(2.0, self._lease_s / 2):
            self.doubt()  # this process was suspended, perhaps with the whole machine
        try:
            found = [int(n) for n in self._server.run("overdue", again=True)]
        except errors.StorageUnavailable:
            self.doubt()
            raise
        if not found or now < self._doubt_until:
            return []
        facts = self._server.facts()
        return [] if facts is not None and facts.uptime_s < self.grace_s else found


def reap(
    server: Server, folder: Path, dead: DeadWorker, overdue: bool, max_crashes: int, compose: Any, failed_ttl_s: float
) -> list[str]:
    """Release the claims of one worker. Returns the ids of the jobs that it handled, none if another rescuer was first.

    What it handled is read from its file on this host, which is exact, or from Redis, which may be a moment old. With
    `overdue` nothing happens if its lease has been renewed.
    """
    by_file = (folder / f"{dead.worker}.life").exists()
    dead = dead.handled(presence.slots_of(folder, dead.worker))
    if faults.point:
        faults.point("reap.begun")
    while True:
        left = server.run("held", dead.worker, again=True)
        if left is None:
            return []
        host, pid, said, *held = left
        dead = dead if by_file else dead.handled(running_of(said))
        dead = dead._replace(host=dead.host or host.decode(), pid=dead.pid or int(pid))
        reaper = Reaper(dead, max_crashes, compose, codec.Ttl(failed_ttl_s, failed_ttl_s))
        for stopping, handed_over in zip(held[::2], held[1::2], strict=True):
            reaper.take(codec.claim_of(dead.worker, handed_over), bool(stopping))
        if faults.point:
            faults.point("reap.written")
        reaped = server.run("reap", dead.worker, int(overdue), *reaper.words())
        if faults.point:
            faults.point("reap.committed")
        if reaped != CHANGED:
            return reaper.handled if reaped else []


class Reaper:
    """The arguments of reap.lua: what happens to each claim of a dead worker."""

    def __init__(self, dead: DeadWorker, max_crashes: int, compose: Any, ttl: codec.Ttl) -> None:
        self._dead, self._max_crashes, self._compose, self._ttl = dead, max_crashes, compose, ttl
        self.handled: list[str] = []
        self._settled = self._noted = 0
        self._canceled = ","
        self._settlements: codec.Words = []
        self._notes: codec.Words = []

    def take(self, claim: Claim, stopping: bool) -> None:
        """Decide on one claim. A claim that goes back to the queue without an event is not named in the arguments."""
        if claim.token in self._dead.marks:
            self.handled.append(claim.id)
        fate = fate_of(claim, self._dead, stopping, self._max_crashes, self._compose)
        if stopping:
            self._canceled += f"{claim.token & codec.LOW},"
        if fate.settlement is not None:
            self._settle(fate.settlement, fate.crashes)
        elif fate.kind is not None:
            m = "" if fate.crashes is None else codec.changing_of(claim, fate.crashes)
            self._note(claim, m, fate.kind, fate.detail or "")

    def _settle(self, settlement: Any, crashes: int | None) -> None:
        self._settled += 1
        codec.settlement_words(self._settlements, settlement, self._ttl, crashes)

    def _note(self, claim: Claim, m: str, kind: str, detail: str) -> None:
        self._noted += 1
        told = codec.told(claim.token, clock.now(), None, claim.attempt)
        self._notes += (claim.token & codec.LOW, claim.id, m, kind, told, detail)

    def words(self) -> codec.Words:
        """The arguments of reap.lua after the first two."""
        return [self._canceled, clock.now(), self._settled, self._noted, *self._settlements, *self._notes]
