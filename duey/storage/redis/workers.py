"""The workers on Redis: their rows and lock files, whether they are alive, what they run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duey import clock, errors, faults
from duey.model.job import Running, WorkerInfo
from duey.model.outcome import Ttl
from duey.model.queues import shown
from duey.storage import presence
from duey.storage.presence import HOST, rss_of
from duey.storage.redis import codec
from duey.storage.redis.client import Server
from duey.storage.redis.keys import LEASE_S
from duey.storage.redis.presence import running_of, running_text
from duey.storage.values import DeadWorker, Fate, Orphans, Released


def started(folder: Path, n: int, reported: bytes | None) -> dict[int, float | None]:
    """The tokens that worker n handles, and when their bodies began. Read from its file on this host, or from Redis."""
    slots = presence.slots_of(folder, n) or running_of(reported)
    return {slot.token: slot.started_at or None for slot in slots}


def infos(server: Server, folder: Path) -> list[WorkerInfo]:
    """Every registered worker process, the oldest first."""
    found = []
    for number, leased, row, jobs in server.run("workers", again=True):
        n = int(number)
        host, pid, started_at, beat_at, threads, kind, queues, quiet, reported, code = row
        if host is None:
            continue
        held = {
            (n << 32) | int(jobs[i]): (jobs[i + 1].decode(), (jobs[i + 2] or b"").decode())
            for i in range(0, len(jobs), 3)
        }
        begun = started(folder, n, reported)
        running = [Running(*held[token], since) for token, since in begun.items() if token in held]
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


RELEASED = {0: Released.GONE, 1: Released.DONE, 2: Released.CHANGED}  # by the answer of reap.lua


class Watch:
    """Renews the leases of the workers of this process, and finds expired ones of others."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lease_s = LEASE_S
        self._beat_due: dict[int, float] = {}  # monotonic
        self._reported: dict[int, str] = {}
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
            if due or (text and text != self._reported.get(n)):
                words += (n, text)
                self._reported[n] = text
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


def orphans(server: Server, folder: Path, dead: DeadWorker) -> Orphans | None:
    """The claims of a dead worker. None if another rescuer was first.

    What it handled is read from its file on this host, which is exact, or from Redis, which may be a moment old.
    """
    if faults.point:
        faults.point("reap.begun")
    left = server.run("held", dead.worker, again=True)
    if left is None:
        return None
    host, pid, running, *held = left
    by_file = presence.lock_file(folder, dead.worker).exists()
    dead = dead.handled(presence.slots_of(folder, dead.worker) if by_file else running_of(running))
    dead = dead._replace(host=dead.host or host.decode(), pid=dead.pid or int(pid))
    pairs = zip(held[::2], held[1::2], strict=True)
    return Orphans(dead, [(codec.claim_of(dead.worker, claim), bool(stopping)) for stopping, claim in pairs])


def release(server: Server, orphans: Orphans, fates: Sequence[Fate], ttl: Ttl) -> Released:
    """Release the claims of a dead worker. A claim that goes back to the queue without an event is not named in the
    arguments."""
    settled = noted = 0
    outcomes: codec.Words = []
    notes: codec.Words = []
    for (claim, _), fate in zip(orphans.claims, fates, strict=True):
        if fate.outcome is not None:
            settled += 1
            codec.outcome_words(outcomes, fate.outcome, ttl, fate.crashes)
        elif fate.kind is not None:
            noted += 1
            m = "" if fate.crashes is None else codec.changing(claim.job._replace(crashes=fate.crashes))
            event = codec.event_json(claim.token, clock.now(), None, claim.job.attempt)
            notes += (claim.token & codec.LOW, claim.job.id, m, fate.kind, event, fate.detail or "")
    stopping = "".join(f"{claim.token & codec.LOW}," for claim, stopping in orphans.claims if stopping)
    if faults.point:
        faults.point("reap.written")
    words = (f",{stopping}", clock.now(), settled, noted, *outcomes, *notes)
    answer = server.run("reap", orphans.dead.worker, int(orphans.dead.overdue), *words)
    if faults.point:
        faults.point("reap.committed")
    return RELEASED[answer]
