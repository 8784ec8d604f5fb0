"""Rescue: finds dead workers and releases their claims.

On the same host the lock file shows a death at once; on other hosts the lease expires. What happens to each claim is
decided here, because only Python can create a job's error, and applied by one script that checks again. The rescuer
that removes the worker's row is the one that rescues its jobs, and a claim that has changed meanwhile is left alone.

A rescuer that lost its own connection waits a while before it declares others dead, and so does every rescuer after a
restart of Redis: all leases have expired then, and living workers need a moment to renew them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duey import clock, errors, faults
from duey.model.job import Claim
from duey.storage import presence
from duey.storage.deaths import DeadWorker, fate_of
from duey.storage.redis import codec
from duey.storage.redis.client import Server
from duey.storage.redis.keys import LEASE_S
from duey.storage.redis.presence import running_of, running_text

CHANGED = 2  # answer of bury.lua: read the claims again


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
        facts = self._server.look()
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
        reaped = server.run("bury", dead.worker, int(overdue), *reaper.words())
        if faults.point:
            faults.point("reap.committed")
        if reaped != CHANGED:
            return reaper.handled if reaped else []


class Reaper:
    """The arguments of bury.lua: what happens to each claim of a dead worker."""

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
            self._settle(fate.settlement, fate.deliveries)
        elif fate.kind is not None:
            m = "" if fate.deliveries is None else codec.changing_of(claim, fate.deliveries)
            self._note(claim, m, fate.kind, fate.detail or "")

    def _settle(self, settlement: Any, deliveries: int | None) -> None:
        self._settled += 1
        codec.settlement_words(self._settlements, settlement, self._ttl, deliveries)

    def _note(self, claim: Claim, m: str, kind: str, detail: str) -> None:
        self._noted += 1
        told = codec.told(claim.token, clock.now(), None, claim.attempt)
        self._notes += (claim.token & codec.LOW, claim.id, m, kind, told, detail)

    def words(self) -> codec.Words:
        """The arguments of bury.lua after the first two."""
        return [self._canceled, clock.now(), self._settled, self._noted, *self._settlements, *self._notes]
