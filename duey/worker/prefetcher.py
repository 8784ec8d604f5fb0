"""The prefetcher of a worker process: claims jobs for its threads, and settles what they have finished.

It claims a batch of jobs and settles finished ones in one transaction, so that short jobs share commits. If a long body
keeps the thread busy, the flusher settles finished jobs, hands claims that have not begun to another thread or gives
them back, and claims ahead if the storage is far away (duey.worker.pace). If there are no jobs, the prefetcher sleeps
without polling. Outcomes that could not be committed are kept and tried again.

A job is marked in the lock file from when a thread takes it until its outcome is handed back (for `on_crash="fail"`
until it is committed). Only marked jobs are charged for a death of the process.

One thread at a time is the leader: it runs the transaction, and waits for the wake-up pipe if there are no jobs; the
other threads wait for it. While bodies are short, one thread does everything, which is faster than handing over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from duey import clock, errors, faults
from duey.execution.lifecycle import Lifecycle
from duey.model.job import ONCE, Claim
from duey.model.outcome import Outcome
from duey.worker.buffer import Buffer
from duey.worker.pace import SHORT_S, Pace
from duey.worker.poison_suspects import PoisonSuspects

CALM_LOOKS = 10  # the flusher sleeps after so many checks without work, because waking it costs more than a check
SLEEP_S = 2.0  # longest sleep, and so the longest delay if a wake-up is lost
HELD_UP_S = 0.05
BACK_OFF_S = (0.05, 2.0)

logger = logging.getLogger("duey.prefetcher")


class Prefetcher:
    """One for each worker process. `presence`: its number, slots and pipe."""

    def __init__(self, lifecycle: Lifecycle, presence: Any, queues: Sequence[str], suspects: PoisonSuspects) -> None:
        self._lifecycle, self.storage = lifecycle, lifecycle.storage
        self.presence, self.queues = presence, tuple(queues)
        self.revocations = False  # whether any task or job is revoked
        self.quiet = False
        self._cond = threading.Condition(threading.Lock())
        self._buffer, self._suspects = Buffer(suspects), suspects
        self.handled = 0  # jobs that threads have taken and not finished
        self._turning = threading.Lock()  # held during a transaction
        self._leading = self._listening = self._stopping = self._notified = False
        self._fetching = False  # whether the flusher claims ahead at the moment
        self._waiting = self._failures = 0
        self._pace = Pace(self.storage)
        self._here = threading.local()
        self._watch = threading.Event()
        threading.Thread(target=self._flush_stale, name="Prefetcher", daemon=True).start()

    # called by worker threads

    def next_claim(self) -> Claim | None:
        """The next claim. Sleeps until there is one. None if the prefetcher is stopping."""
        while True:
            lead = False
            with self._cond:
                while not self._stopping:
                    if self._suspects.may_begin(self.handled):
                        return self._pick(self._suspects.waiting)
                    if self._suspects.hold_up():
                        if self._buffer.outcomes:
                            break
                        self._cond.wait(HELD_UP_S)
                        continue
                    if self._buffer.claims:
                        return self._pick(self._buffer.claims)
                    if not (self._leading or self._fetching):
                        lead = self._leading = True
                        break
                    if self._listening and self._buffer.outcomes:
                        break  # the outcome of this thread's job must not wait for the sleeping leader
                    self._waiting += 1
                    self._cond.wait()
                    self._waiting -= 1
                else:
                    return None
            if lead:
                self._lead()
            else:
                self._settle_and_claim(0)

    def _pick(self, pile: deque[Claim]) -> Claim:
        """Take the oldest claim of a pile. The caller holds the condition."""
        self._buffer.taken_at = time.monotonic()
        claim = pile.popleft()
        self.handled += 1
        self.presence.take(claim.token)
        if pile is self._suspects.waiting:
            self._suspects.began(claim)
        if self._waiting or self._buffer.claims or self._buffer.outcomes:
            if self._pace.body_s > SHORT_S:
                self._cond.notify()
            if not self._watch.is_set():
                self._watch.set()
        return claim

    def _lead(self) -> None:
        try:
            next_due = self._settle_and_claim(*self._want())
            if not self._buffer.has_claims():
                self._listen(next_due)
        finally:
            with self._cond:
                self._leading = False

    def _want(self) -> tuple[int, int]:
        """How many jobs to claim: at least one for each waiting thread; and how many more, ahead. None while a suspect
        runs alone."""
        if self.quiet or self._suspects.hold_up():
            return 0, 0
        now = 0 if self._buffer.claims else max(self._waiting + 1, self._pace.batch())
        most = self._pace.ahead(self.handled + self._waiting, len(self._buffer.outcomes))
        return now, max(0, most - now - len(self._buffer.claims))

    def _listen(self, next_due: float | None) -> None:
        """Sleep until woken, until a job is due, or until the prefetcher stops."""
        self._listening = True
        self.presence.asleep(not self.quiet)  # a quiet worker must not be woken instead of another one
        try:
            # Check once more after setting the flag: an enqueue in between saw no sleeper and woke nobody.
            if self._buffer.outcomes:
                return
            if not self.quiet:
                next_due = self._settle_and_claim(*self._want())
            if not self.quiet and (self._buffer.has_claims() or self._stopping):
                if self.presence.pipe.wait(0):  # woken for another job meanwhile: pass the wake-up on
                    self.storage.wake(1, self.queues)
            else:
                timeout = SLEEP_S if next_due is None else min(SLEEP_S, next_due - clock.now())
                self._notified = self.presence.pipe.wait(timeout)
        finally:
            self.presence.asleep(False)
            self._listening = False

    def begin(self, claim: Claim, started_at: float) -> None:
        """A body starts in this thread. Raises ClaimLost if it must not run twice and its claim is gone."""
        timeout = claim.job.timeout_s
        self.presence.begin(claim.token, started_at, time.monotonic() + timeout if timeout else 0.0)
        self._here.began = time.perf_counter()
        if claim.job.flags & ONCE and not self.storage.hold(self.presence, claim.token):
            raise errors.ClaimLost(f"job {claim.job.id} was taken away before its body began")
        if faults.point:
            faults.point("body.begun")

    def body_ended(self, claim: Claim, started_at: float | None) -> float:
        """The body of this thread has ended; its job is still handled. Returns how long it ran, in seconds."""
        self.presence.body_ended(claim.token, started_at or 0.0)
        if faults.point:
            faults.point("body.ended")
        return self._pace.ran(time.perf_counter() - self._here.began)

    def ack(self, outcome: Outcome) -> None:
        """Hand in an outcome, which the next transaction commits."""
        once = outcome.claim.job.flags & ONCE
        if not once:
            self.presence.finish()
        with self._cond:
            self._buffer.add_outcome(outcome)
            if not once:
                self._ended(outcome.claim)
        if once:
            # Committed before its mark is removed, and before a suspect begins, which might kill the process.
            if self._committed(outcome.claim.token):
                self.storage.sync()  # otherwise a power cut could undo the outcome after its mark was removed
                self.presence.finish()
            with self._cond:
                self._ended(outcome.claim)

    def _ended(self, claim: Claim) -> None:
        """A job is not handled any more. The caller holds the condition."""
        self.handled -= 1
        self._suspects.ended(claim)
        if self._suspects.waiting:  # otherwise this thread itself takes the next claim in a moment
            self._cond.notify()

    def _committed(self, token: int) -> bool:
        """Commit outcomes until that of this job is committed. False if the prefetcher stops before that."""
        while True:
            self._settle_and_claim(0)
            with self._turning, self._cond:  # no transaction that holds it is still running
                if all(outcome.claim.token != token for outcome in self._buffer.outcomes):
                    return True
                if self._stopping:
                    return False

    # the transaction

    def _settle_and_claim(self, want: int, ahead: int = 0) -> float | None:
        """Settle what is finished and claim up to `want` jobs, and some ahead. Returns when the next one is due (epoch
        seconds)."""
        with self._turning:
            with self._cond:
                done, self._buffer.outcomes = self._buffer.outcomes, []
            if not (done or want or ahead or self._notified):  # a wake-up may have brought claims
                return None
            try:
                turn = self.storage.settle_and_claim(self.presence.n, done, want, self.queues, self._notified, ahead)
            except errors.StorageUnavailable as exc:
                self._keep(done, exc)
                return None
            except Exception as exc:
                logger.exception("a turn failed")
                if self._failures >= 3:
                    done = self._lifecycle.settle_one_by_one(self.presence.n, done)
                self._keep(done, exc)
                return None
            self._failures, self._notified = 0, False
            for lost in [each.claim.job.id for each in done if each.claim.token in turn.lost]:
                logger.warning("the claim of job %s is gone: its outcome was not written", lost)
            stopped = [self._lifecycle.stopped(each) for each in done if each.claim.token in turn.stopping]
            with self._cond:
                self._buffer.add_claims(turn.claims)
                if turn.claims:  # without claims it was not looked up
                    self.revocations = turn.revocations
                self._buffer.outcomes[:0] = stopped
        if turn.more:
            self.storage.wake(1, self.queues)
        return turn.next_due

    def _keep(self, done: list[Outcome], exc: Exception) -> None:
        """Keep outcomes that could not be committed, and wait before the next attempt."""
        with self._cond:
            self._buffer.outcomes[:0] = done
        if not self._failures and (done or not isinstance(exc, errors.StorageUnavailable)):  # the supervisor logs that
            logger.warning("%s%s", exc, f"; {len(done)} finished jobs are kept until then" if done else "")
        delay = min(BACK_OFF_S[1], BACK_OFF_S[0] * 2 ** min(self._failures, 10))
        self._failures += 1
        time.sleep(delay)

    # the flusher

    def _flush_stale(self) -> None:
        """Make sure that no claim and no outcome waits longer than its limit. Runs in a thread of its own."""
        buffer, pause_s, calm = self._buffer, SHORT_S, 0
        while True:
            self._watch.wait()
            time.sleep(pause_s)
            with self._cond:
                now = time.monotonic()
                alone_s = now - buffer.taken_at  # since a thread took a claim; if that is long ago, bodies are long
                if hand_over := self._waiting and alone_s >= SHORT_S and (buffer.claims or not self._leading):
                    self._cond.notify()
                stale = [] if hand_over else buffer.take_stale(alone_s, self._pace.patience_s)
                # A leader commits them itself, and must not wait until they have been to a far storage.
                overdue = buffer.overdue(now) and not (self._pace.is_far and self._leading and not self._listening)
                ahead = 0 if stale or self._leading or self._stopping else self._want()[1]
                self._fetching = overdue and ahead > 0
                calm = 0 if buffer.claims or buffer.outcomes or (self._waiting and not self._leading) else calm + 1
                if calm > CALM_LOOKS:
                    self._watch.clear()
                pause_s = buffer.until_next_look(now, self._waiting, self._pace.patience_s)
            if stale:
                self._release_claims(stale)
            if overdue:
                self._settle_and_claim(0, ahead)
            if self._fetching:
                with self._cond:
                    self._fetching = False
                    self._cond.notify_all()

    def _release_claims(self, claims: list[Claim]) -> None:
        try:
            self.storage.release_claims(self.presence.n, claims)
        except Exception as exc:
            logger.warning("%s; %d claims stay here meanwhile", exc, len(claims))
            with self._cond:
                self._buffer.claims.extendleft(reversed(claims))

    # the end

    def stop(self) -> None:
        """Claim no more, give back what has not begun, and release waiting threads."""
        with self._cond:
            self._stopping = True
            claims = self._buffer.remove_claims()
            self._cond.notify_all()
        self.presence.pipe.notify()
        if claims:
            self._release_claims(claims)

    def drain(self, deadline: float) -> bool:
        """Commit what is finished, trying until `deadline` (monotonic). True if nothing is left."""
        while True:
            self.stop()  # again: a transaction that was running may have brought claims
            self._settle_and_claim(0)
            if not (self._buffer.outcomes or self._buffer.has_claims()):
                return True
            if time.monotonic() >= deadline:
                return False
