"""The workers of this process: registration, and settling and claiming (`settle_and_claim`).

The answer of a turn may be lost. Then its outcomes are stored, and the worker holds claims that it does not know of.
So the next turn asks for all claims from the first unknown token on (`recover`), and a outcome that is sent twice is
recognized by its token. A worker that was declared dead while it was suspended is not registered any more. Its turn is
refused as a whole, it registers again under the same number, and finds that its claims are gone.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from duey import clock, errors, faults
from duey.model.limits import Limit
from duey.model.outcome import Outcome, Ttl
from duey.storage.redis import codec
from duey.storage.redis.connection.client import Server
from duey.storage.redis.keys import LEASE_S
from duey.storage.redis.presence import RedisPresence
from duey.storage.values import ClaimResult, Registration

logger = logging.getLogger("duey.redis")
SET_ASIDE_S = 0.25  # longest time that one turn spends on setting jobs aside
DUE_SOON_S = 3.0  # sleepers are woken for jobs that become due within this time; longer than a worker sleeps


class Header(NamedTuple):
    """The part of the answer of turn.lua before the claims."""

    counter: int  # of the next token
    more: int
    blocked_many: int  # 1 if it stopped early because it set many jobs aside
    sleepers: int
    marks: int
    next_due: float | None
    lost: list[str]
    stopped: list[str]  # not settled, because they were asked to stop and must not go back to the queue


class WorkerSession:
    """A worker of this process, with what its next turn needs."""

    def __init__(self, presence: RedisPresence, fields: list[Any]) -> None:
        self.presence, self.fields = presence, fields
        self.pid = os.getpid()
        self.lock = threading.Lock()  # one turn at a time, because it counts the tokens
        self.counter = 0
        self.unsure = False  # whether an answer was lost


class WorkerSessions:
    """The workers that this process has registered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sessions: dict[int, WorkerSession] = {}
        self.sleepers: int | None = None  # how many workers slept at the last turn; None before the first one

    def open(self, registration: Registration, folder: Path) -> RedisPresence:
        """Register a worker and return its presence. Other processes see it only after its file is locked."""
        key = uuid.uuid4().hex
        presence = self._take_number(folder, key, registration.queues)
        fields = [
            "consumer", registration.consumer, "host", registration.host, "pid", registration.pid,
            "started_at", clock.now(), "threads", registration.threads, "kind", registration.kind,
            "queues", ",".join(registration.queues), "tasks", ",".join(registration.tasks),
            "serves", f",{','.join(registration.queues)},", "code", registration.code,
            "ahead", f"{clock.host_ahead_s():.3f}",
        ]  # fmt: skip
        session = self._sessions[presence.n] = WorkerSession(presence, fields)
        self._register(session)
        presence.start()
        return presence

    def _take_number(self, folder: Path, key: str, queues: Sequence[str]) -> RedisPresence:
        """A new worker number with a locked file. Takes the next number if a rescuer has locked the file."""
        while True:
            n = int(self._server.run("worker_number", again=True))
            try:
                presence = RedisPresence(folder, n, key, self._server, queues)
            except BlockingIOError:
                continue
            if presence.path.exists():
                return presence
            presence.close()

    def _register(self, session: WorkerSession) -> None:
        presence = session.presence
        lease_ms = int(LEASE_S * 1000)
        if not self._server.run("register", presence.n, presence.key, lease_ms, *session.fields, again=True):
            raise errors.StorageUnavailable(
                f"Redis at {self._server.address} was emptied, and another process is worker {presence.n} there now: "
                "restart this consumer"
            )

    def _register_again(self, session: WorkerSession) -> None:
        logger.warning("worker %d was declared dead while it was alive: it registers again", session.presence.n)
        self._register(session)

    def control_signals(self, n: int) -> tuple[bool, bool]:
        """Whether the worker was asked to be quiet, and to stop. Registers it again if it was declared dead."""
        known, quiet, stop = self._server.command(b"HMGET", self._server.key(f"worker:{n}"), "key", "quiet", "stop")
        session = self._sessions.get(n)
        if known is None and session is not None and session.pid == os.getpid():
            self._register_again(session)
        return bool(quiet), bool(stop)

    def forget(self, n: int) -> None:
        """Remove a worker of this process."""
        self._sessions.pop(n, None)

    def settle_and_claim(
        self, n: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str], ttl: Ttl,
        limits: Mapping[str, Limit],
    ) -> ClaimResult:  # fmt: skip
        """Settle and claim for worker n. After StorageUnavailable the same outcomes may be sent again."""
        session = self._sessions.get(n)
        if session is None or session.pid != os.getpid():
            raise errors.UnknownWorker(str(n))
        with session.lock:
            if faults.point:
                faults.point("settle.begun")
            header, handed_over = self._send(session, want, queues, outcomes, ttl, limits)
            lost, stopped, until = header.lost, header.stopped, time.monotonic() + SET_ASIDE_S
            while header.blocked_many and not handed_over and time.monotonic() < until:
                header, handed_over = self._send(session, want, queues, (), ttl, limits)
                lost = lost + header.lost
            if faults.point:
                faults.point("settle.committed")
        claims = [codec.claim_of(n, each) for each in handed_over]
        self.sleepers = header.sleepers
        if header.blocked_many and not claims:
            session.presence.pipe.notify()  # it found only jobs to set aside: continue without sleeping
        # Revocations matter without new claims too: jobs that were claimed before may not have begun.
        missing, stopping = (frozenset(map(codec.token_of, tokens)) for tokens in (lost, stopped))
        return ClaimResult(claims, missing, bool(header.more), header.next_due, bool(header.marks), stopping)

    def _send(
        self, session: WorkerSession, want: int, queues: Sequence[str], outcomes: Sequence[Outcome],
        ttl: Ttl, limits: Mapping[str, Limit],
    ) -> tuple[Header, list[bytes]]:  # fmt: skip
        """Run turn.lua once. Returns the header of the answer, and the claims as bytes."""
        presence, now = session.presence, clock.now()
        words: codec.Words = [
            presence.n, presence.key, session.counter, int(session.unsure),
            int(presence.has_slept and not presence.sleeping), want, now, now + DUE_SOON_S,
            len(queues), len(outcomes), limits_text(limits), *queues,
        ]  # fmt: skip
        for outcome in outcomes:
            codec.outcome_words(words, outcome, ttl)
        if faults.point:
            faults.point("settle.written")
        try:
            answer = self._server.run("settle_and_claim", *words)
            if answer is None:
                self._register_again(session)
                answer = self._server.run("settle_and_claim", *words)
        except BaseException:  # also a time-out that strikes in between
            session.unsure = True
            raise
        if answer is None:
            raise errors.StorageUnavailable(f"worker {presence.n} is not registered: restart this consumer")
        header = Header._make(json.loads(answer[0]))
        session.counter = header.counter
        session.unsure = session.unsure and not want
        presence.has_slept = presence.has_slept and presence.sleeping
        return header, answer[1:]


def limits_text(limits: Mapping[str, Limit]) -> str:
    """The limits of tasks as argument of a script."""
    return codec.compact(limits) if limits else ""
