"""The workers of this process: registration, and settling and claiming (`settle_and_claim`).

The answer of a turn may be lost. Then its outcomes are stored, and the worker holds claims that it does not know of.
So the next turn asks for all claims from the first unknown token on (`recover`), and a outcome that is sent twice is
recognized by its token. A worker that was declared dead while it was suspended is not registered any more. Its turn is
refused as a whole, it registers again under the same number, and finds that its claims are gone.

A request without an answer may also arrive late, after those that were sent in its place. So requests carry the
`epoch` of their worker, which every lost answer raises. Redis stores the highest one, and a request with a lower one
changes nothing (lib_epoch.lua).

Redis may also have lost what it has answered: it restarted without the end of its log, or a replica took over. Then
claims may stand there of jobs that this worker has settled, and it does not settle them again. So it compares what
stands there with what it holds, twice a second, and returns the rest to the queue (`control_signals`).
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duey import clock, errors, faults
from duey.model.job import Claim
from duey.model.limits import Limit
from duey.model.outcome import Outcome, Ttl
from duey.storage.redis import codec
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.failures import NotReplicated, RedisAway
from duey.storage.redis.keys import LEASE_S
from duey.storage.redis.worker.claims import claim_of
from duey.storage.redis.worker.locks import HeldLocks
from duey.storage.redis.worker.presence import RedisPresence
from duey.storage.redis.worker.worker_session import WorkerSession
from duey.storage.values import ClaimResult, Registration

logger = logging.getLogger("duey.redis")
LATE = 0  # answer to a request of an earlier epoch
TURN_S = 1.0  # longest wait for a turn to end before claims are compared
SET_ASIDE_S = 0.25  # longest time that one turn spends on setting jobs aside
DUE_SOON_S = 3.0  # sleepers are woken for jobs that become due within this time; longer than a worker sleeps


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
            try:  # a failover that loses it would give the number to another process, too
                n = int(self._server.run("worker_number", again=True, durable=True))
            except NotReplicated:
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
        words = (presence.n, presence.key, int(LEASE_S * 1000), session.epoch, *session.fields)
        if not self._server.run("register", *words, again=True):
            raise errors.StorageUnavailable(
                f"Redis at {self._server.address} has lost changes, and another process is worker {presence.n} there "
                "now: restart this consumer"
            )

    def _register_again(self, session: WorkerSession) -> None:
        logger.warning("worker %d is not in Redis any more, though it is alive: it registers again", session.presence.n)
        self._register(session)

    def control_signals(self, n: int) -> tuple[bool, bool]:
        """Whether the worker was asked to be quiet, and to stop. Registers it again if it was declared dead, and
        returns claims of it to the queue that it does not hold."""
        session = self._sessions.get(n)
        own = session is not None and session.pid == os.getpid()
        counter, held = (session.counter, session.held.copy()) if session and own else (0, set())
        known, quiet, stop, in_redis, locks = self._server.run("signals", n, again=True)
        if session and own:
            if known is None:
                self._register_again(session)
            # Claims from this counter on belong to a turn, whose answer is under way or was lost.
            elif session.unsure or any(int(c) < counter and n << 32 | int(c) not in held for c in in_redis):
                self._compare_claims(session)
            self._free_strays(session, dict(zip(locks[::2], locks[1::2], strict=True)))
        return bool(quiet), bool(stop)

    def _free_strays(self, session: WorkerSession, locks: Mapping[bytes, bytes]) -> None:
        """Free locks of this worker that none of its threads holds."""
        for key in session.locks.strays([key.decode() for key in locks]):
            if self._server.run("free_lock", session.presence.n, key, locks[key.encode()], again=True):
                logger.warning(
                    "worker %d had a lock in Redis that it does not hold: %s is free", session.presence.n, key
                )

    def locks(self, *numbers: int | None) -> list[HeldLocks]:
        """The locks of these workers, as far as they are of this process; without numbers those of all."""
        own = [n for n, session in self._sessions.items() if session.pid == os.getpid()]
        return [self._sessions[n].locks for n in own if not numbers or n in numbers]

    def _compare_claims(self, session: WorkerSession) -> None:
        """Return claims to the queue that this worker does not hold, unless it knows how they ended."""
        if not session.lock.acquire(timeout=TURN_S):
            return  # the next look finds them
        try:
            n = session.presence.n
            in_redis = {n << 32 | int(c) for c in self._server.command(b"HKEYS", self._server.key(f"claimed:{n}"))}
            ended = [session.once[token] for token in in_redis - session.held if token in session.once]
            for outcome, ttl in ended:
                self._send(session, 0, (), [outcome], ttl, {})
            session.lost_answer()  # a turn may have been given up a moment ago, and must not claim any more
            returned = (
                self._ask(session, "keep_claims", n, clock.now(), *(token & codec.LOW for token in session.held)) or ()
            )
            counters = [int(c) for c in returned[::2]]
            session.counter = max([session.counter, *(c + 1 for c in counters)])
            session.unsure = False
        finally:
            session.lock.release()
        if ended or counters:
            ids = [outcome.claim.job.id for outcome, _ in ended] + [job_id.decode() for job_id in returned[1::2]]
            logger.warning(
                "Redis had %d claims of worker %d that it does not hold, because an answer was lost, or the last "
                "changes of Redis: %d jobs are queued again, %d are settled again (%s)",
                len(ids), n, len(counters), len(ended), ", ".join(ids[:10]),
            )  # fmt: skip

    def release(self, n: int, claims: Sequence[Claim]) -> None:
        """Return claims to the queue whose body never began."""
        session = self._own(n)
        words = [word for c in claims for word in (c.token & codec.LOW, c.job.id)]
        self._ask_again(session, "release_claims", n, clock.now(), *words)
        session.held.difference_update([claim.token for claim in claims])

    def hold(self, presence: RedisPresence, token: int) -> bool:
        """Report a job before its body begins. False if its claim is gone."""
        words = presence.hold(token), token & codec.LOW
        return bool(self._ask_again(self._own(presence.n), "hold", presence.n, *words, durable=True))

    def _own(self, n: int) -> WorkerSession:
        """The session of a worker of this process. Raises UnknownWorker."""
        session = self._sessions.get(n)
        if session is None or session.pid != os.getpid():
            raise errors.UnknownWorker(str(n))
        return session

    def _ask(self, session: WorkerSession, script: str, n: int, *words: Any, durable: bool = False) -> Any:
        """Run a script that changes what the worker holds. Returns its answer; None if the worker is not
        registered."""
        while True:
            try:
                answer = self._server.run(script, n, session.presence.key, session.epoch, *words, durable=durable)
            except BaseException:  # also a time-out that strikes in between
                session.lost_answer()
                raise
            if answer != LATE:  # another thread has lost an answer meanwhile
                return answer

    def _ask_again(self, session: WorkerSession, script: str, n: int, *words: Any, durable: bool = False) -> Any:
        """The same, and a second time, in the next epoch, if the answer is lost."""
        try:
            return self._ask(session, script, n, *words, durable=durable)
        except RedisAway:
            return self._ask(session, script, n, *words, durable=durable)

    def forget(self, n: int) -> bool:
        """Remove a worker of this process. Returns whether another process has its number in Redis by now."""
        session = self._sessions.pop(n, None)
        key = self._server.command(b"HGET", self._server.key(f"worker:{n}"), "key")
        return session is not None and key not in (None, session.presence.key.encode())

    def settle_and_claim(
        self, n: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str], ttl: Ttl,
        limits: Mapping[str, Limit], ahead: int,
    ) -> ClaimResult:  # fmt: skip
        """Settle and claim for worker n. After StorageUnavailable the same outcomes may be sent again."""
        session = self._own(n)
        with session.lock:
            if faults.point:
                faults.point("settle.begun")
            header, handed_over = self._early(session)
            more_left = header is not None and header.more
            if header is None or outcomes:
                here = (0, 0) if handed_over else (want, ahead)
                header, more = self._send(session, here[0], queues, outcomes, ttl, limits, here[1])
                handed_over, more_left = [*handed_over, *more], more_left or header.more
            lost, stopped, until = header.lost, header.stopped, time.monotonic() + SET_ASIDE_S
            while header.blocked_many and not handed_over and time.monotonic() < until:
                header, handed_over = self._send(session, want, queues, (), ttl, limits, ahead)
                lost, more_left = lost + header.lost, header.more
            if faults.point:
                faults.point("settle.committed")
            claims = [claim_of(self._server, n, each) for each in handed_over]
            session.held.update([claim.token for claim in claims])
        self.sleepers = header.sleepers
        if header.blocked_many and not claims:
            session.presence.pipe.notify()  # it found only jobs to set aside: continue without sleeping
        # Revocations matter without new claims too: jobs that were claimed before may not have begun.
        missing, stopping = (frozenset(map(codec.token_of, tokens)) for tokens in (lost, stopped))
        return ClaimResult(claims, missing, bool(more_left), header.next_due, bool(header.marks), stopping)

    def _early(self, session: WorkerSession) -> tuple[codec.Header | None, list[bytes]]:
        """The answer to the claim that was sent while the worker slept, as `_send` returns it. (None, []) if there is
        none."""
        presence = session.presence
        early = presence.pipe.take()
        if early is None:
            return None, []
        if early.epoch != session.epoch or not early.answer:
            session.lost_answer()
            session.unsure = True
            return None, []
        presence.has_slept = presence.sleeping
        header = codec.header_of(early.answer[0])
        session.counter = max(session.counter, header.counter)
        return header, early.answer[1:]

    def _send(
        self, session: WorkerSession, want: int, queues: Sequence[str], outcomes: Sequence[Outcome],
        ttl: Ttl, limits: Mapping[str, Limit], ahead: int = 0,
    ) -> tuple[codec.Header, list[bytes]]:  # fmt: skip
        """Run settle_and_claim.lua once. Returns the header of the answer, and the claims as bytes."""
        presence, now = session.presence, clock.now()
        here = codec.limits_text(limits), *queues
        words: codec.Words = [
            session.counter, int(session.unsure),
            int(presence.has_slept and not presence.sleeping), want + ahead, want, now, now + DUE_SOON_S,
            len(queues), len(outcomes), *here,
        ]  # fmt: skip
        for outcome in outcomes:
            codec.outcome_words(words, outcome, ttl)
        if faults.point:
            faults.point("settle.written")
        try:
            answer = self._ask(session, "settle_and_claim", presence.n, *words)
            if answer is None:
                self._register_again(session)
                answer = self._ask(session, "settle_and_claim", presence.n, *words)
        except BaseException:  # also a time-out that strikes in between
            session.unsure = True
            raise
        if answer is None:
            raise errors.StorageUnavailable(f"worker {presence.n} is not registered: restart this consumer")
        header = codec.header_of(answer[0])
        session.counter = header.counter
        session.settled(outcomes, header.stopped, ttl)
        session.unsure = session.unsure and not want + ahead
        presence.has_slept = presence.has_slept and presence.sleeping
        if presence.sleeping and want and not answer[1:]:  # it waits next
            claim = session.counter, 0, 1, want, want, "", DUE_SOON_S, len(queues), 0, *here
            presence.pipe.plan(session.epoch, "settle_and_claim", presence.n, presence.key, session.epoch, *claim)
        return header, answer[1:]
