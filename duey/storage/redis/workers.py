"""The workers on Redis: their rows and lock files, whether they are alive, what they run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from duey import clock, errors, faults
from duey.model.job import Running, WorkerInfo
from duey.model.outcome import Ttl
from duey.model.queues import shown
from duey.storage import presence
from duey.storage.contract import Workers
from duey.storage.presence import HOST, IN_BODY, Slot, rss_of
from duey.storage.redis import codec
from duey.storage.redis.connection.client import Server
from duey.storage.redis.keys import LEASE_S
from duey.storage.redis.worker.claims import claim_of
from duey.storage.redis.worker.presence import OnThisHost, RedisPresence, running_of, running_text
from duey.storage.redis.worker.session import WorkerSessions
from duey.storage.values import ALONE, DeadWorker, Fate, Orphans, Registration, Released

RELEASED = {0: Released.GONE, 1: Released.DONE, 2: Released.CHANGED}  # by the answer of reap.lua


class Watch:
    """Renews the leases of the workers of this process, and finds expired ones of others."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._beat_due: dict[int, float] = {}  # monotonic
        self._reported: dict[int, str] = {}

    def beat(self, workers: Sequence[int], lease_s: float, folder: Path) -> None:
        """Renew the leases when it is time, and report what the workers run."""
        now = time.monotonic()
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
            self._server.run("beat", int(lease_s * 1000), f"{clock.host_ahead_s():.3f}", *words, again=True)
        except errors.StorageUnavailable:
            self._beat_due.clear()
            raise
        self._beat_due = {n: now + lease_s / 5 if n in words[::2] else self._beat_due[n] for n in workers}

    def overdue(self) -> list[int]:
        """The workers whose lease has expired. Time in which nobody could renew a lease does not count."""
        return [int(n) for n in self._server.run("overdue", again=True)]


class RedisWorkers(OnThisHost, Workers):
    """A part of RedisStorage: every worker process on this queue."""

    ttl: Ttl
    sessions: WorkerSessions
    watch: Watch

    def register(self, registration: Registration) -> RedisPresence:
        presence = self.sessions.open(registration, self.folder)
        if registration.kind == ALONE:
            presence.beat_alone = lambda: self.beat([presence.n], LEASE_S)
        return presence

    def unregister(self, worker: int) -> None:
        if self.sessions.forget(worker):  # first, so that no thread of this process registers it again
            return
        # It may have claims from a lost answer; a job of them that was asked to stop is still asked to.
        while (left := self.orphans(DeadWorker(worker, "", 0, False))) is not None:
            if self.release(left, [Fate()] * len(left.claims)) is not Released.CHANGED:
                return

    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        presence.touch(self.folder, workers)
        self.watch.beat(workers, lease_s, self.folder)

    def slots(self, worker: int) -> list[presence.Slot]:
        return presence.slots_of(self.folder, worker)

    def control_signals(self, worker: int) -> tuple[bool, bool]:
        return self.sessions.control_signals(worker)

    def signal_worker(self, worker: int, what: str) -> bool:
        return bool(self.server.run("signal_worker", worker, what, again=True))

    def worker_infos(self) -> list[WorkerInfo]:
        found = []
        for number, leased, row, jobs in self.server.run("workers", again=True):
            n = int(number)
            host, pid, started_at, beat_at, threads, kind, queues, quiet, reported, code, consumer, ahead = row
            if host is None:
                continue
            held = {
                (n << 32) | int(jobs[i]): (jobs[i + 1].decode(), (jobs[i + 2] or b"").decode())
                for i in range(0, len(jobs), 3)
            }
            slots = presence.slots_of(self.folder, n) or running_of(reported)
            running = [Running(*held[slot.token], slot.started_at or None) for slot in slots if slot.token in held]
            here = n in presence.numbers(self.folder)
            found.append(
                WorkerInfo(
                    id=str(n), host=host.decode(), pid=int(pid), started_at=float(started_at),
                    heartbeat_at=float(beat_at), workers=int(threads), worker_type=kind.decode(),
                    queues=shown(queues.decode().split(",")),
                    alive=bool(leased) and (not here or presence.is_alive(self.folder, n)), quiet=bool(quiet),
                    running=tuple(running), rss_bytes=rss_of(int(pid)) if host.decode() == HOST else None,
                    code=(code or b"").decode(), consumer=(consumer or b"").decode(),
                    clock_ahead_s=float(ahead or 0),
                )
            )  # fmt: skip
        return sorted(found, key=lambda info: int(info.id))

    def stopping(self, workers: Sequence[int]) -> set[int]:
        found = self.server.run("stopping", *workers, again=True) if workers else []
        return {codec.token_of(token.decode()) for token in found}

    def dead_workers(self, own: Sequence[int] = (), consumer: str = "") -> list[DeadWorker]:
        missing = [n for n in presence.numbers(self.folder) if n not in own and not presence.is_alive(self.folder, n)]
        company = sum(len(self.slots(n)) for n in missing)
        found = []
        for n in missing:
            its_own = self.server.command(b"HGET", self.server.key(f"worker:{n}"), "consumer")
            found.append(DeadWorker(n, "", 0, tree=its_own != consumer.encode(), company=company))
        overdue = [n for n in self.watch.overdue() if n not in own]
        return [*found, *(DeadWorker(n, "", 0, tree=True, overdue=True) for n in overdue)]

    def seized(self, dead: DeadWorker) -> AbstractContextManager[presence.DeadPresence | None]:
        if dead.overdue:  # its lease decides, also if its process stands still on this host
            return nullcontext(presence.NoPresence())
        return presence.seized(self.folder, dead.worker)

    def orphans(self, dead: DeadWorker) -> Orphans | None:
        """What it handled is read from its file on this host, which is exact, or from Redis, which may be a moment
        old; but a body that must not run twice is marked in Redis before it begins."""
        if faults.point:
            faults.point("reap.begun")
        left = self.server.run("held", dead.worker, again=True)
        if left is None:
            return None
        host, pid, running, *held = left
        by_file = presence.lock_file(self.folder, dead.worker).exists()
        slots = presence.slots_of(self.folder, dead.worker) if by_file else running_of(running)
        found = []
        for stopping, begun, claim in zip(held[::3], held[1::3], held[2::3], strict=True):
            found.append((claim_of(self.server, dead.worker, claim), bool(stopping)))
            if begun:
                slots.insert(0, Slot(found[-1][0].token, IN_BODY, 0.0, 0.0))
        # Of two marks of a job the later phase counts.
        dead = dead.handled(sorted(slots, key=lambda slot: slot.phase))
        return Orphans(dead._replace(host=dead.host or host.decode(), pid=dead.pid or int(pid)), found)

    def release(self, orphans: Orphans, fates: Sequence[Fate], died: str = "") -> Released:
        """A claim that goes back to the queue without an event is not named in the
        arguments."""
        settled = noted = 0
        outcomes: codec.Words = []
        notes: codec.Words = []
        for (claim, _), fate in zip(orphans.claims, fates, strict=True):
            if fate.outcome is not None:
                settled += 1
                codec.outcome_words(outcomes, fate.outcome, self.ttl, fate.crashes)
            elif fate.kind is not None:
                noted += 1
                m = "" if fate.crashes is None else codec.changing(claim.job._replace(crashes=fate.crashes))
                event = codec.event_json(claim.token, clock.now(), None, claim.job.attempt)
                notes += (claim.token & codec.LOW, claim.job.id, m, fate.kind, event, fate.detail or "")
        stopping = "".join(f"{claim.token & codec.LOW}," for claim, stopping in orphans.claims if stopping)
        if faults.point:
            faults.point("reap.written")
        words = (f",{stopping}", clock.now(), died, settled, noted, *outcomes, *notes)
        answer = self.server.run("reap", orphans.dead.worker, int(orphans.dead.overdue), *words)
        if faults.point:
            faults.point("reap.committed")
        return RELEASED[answer]
