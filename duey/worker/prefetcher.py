"""The prefetcher of a worker process: where its threads take claims and leave what they finished.

Duties: take a window's worth of claims and commit acknowledgements in one transaction (a turn), so that short bodies
share commits; see that nothing stays in the prefetcher for longer than the window: when a long body holds the thread,
an acknowledgement is committed and a claim that has not begun goes to another thread, or back; sleep without polling
when there is nothing; keep what could not be committed and try again: a finished job is never dropped.

A job is marked in the lock file from its taking until its outcome is handed back, or committed where it must not run
twice: a death is charged to what is marked, to none that lies here or has finished.

Order: one thread at a time leads: it makes the turn, and listens to the wake-up pipe when there was nothing; the others
wait. While bodies are short one thread does it all, which is faster than handing over; the flusher hands over when one
is not. Ending: `stop` gives back what has not begun; `drain` commits what is finished, once all threads are gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from duey import clock, errors, faults
from duey.model.job import FAILED, ONCE, Claim, Settlement
from duey.storage.contract import JobStorage
from duey.worker.poison_suspects import PoisonSuspects

WINDOW_S = 0.004  # longest stay in the prefetcher, of a claim not begun or an acknowledgement not committed
ACK_S = 0.003  # an acknowledgement is committed by then, so that it is seen within 5 ms
SHORT_S = 0.001  # a body below this is cheaper to wait for than to hand over
CALM_LOOKS = 10  # the flusher sleeps after so many looks at an empty prefetcher: waking it costs more than a look
BATCH_MAX = 64
SLEEP_S = 2.0  # a wake-up that was lost costs at most this
HELD_UP_S = 0.05
BACK_OFF_S = (0.05, 2.0)

logger = logging.getLogger("duey.prefetcher")


class Prefetcher:
    """One per worker process. `presence`: number, slots, wake-up pipe. With `max_crashes` suspects begin alone."""

    def __init__(self, storage: JobStorage, presence: Any, queues: Sequence[str], max_crashes: int | None = 3) -> None:
        self.storage, self.presence, self.queues = storage, presence, tuple(queues)
        self.revocations = False  # whether the jobs in the prefetcher may be revoked
        self.quiet = False
        self._cond = threading.Condition(threading.Lock())
        self._claims: deque[Claim] = deque()
        self._suspects = PoisonSuspects(max_crashes)
        self._handled = 0  # picked and not finished
        self._done: list[Settlement] = []
        self._turning = threading.Lock()  # one turn at a time
        self._leading = self._listening = self._stopping = self._notified = False
        self._waiting = 0
        self._taken_at = self._done_at = 0.0  # monotonic: since when something lies in the prefetcher
        self._body_s = SHORT_S  # moving average of a body's length: decides how many to take
        self._here = threading.local()
        self._watch = threading.Event()
        self._failures = 0
        threading.Thread(target=self._flush_stale, name="Prefetcher", daemon=True).start()

    # what a worker thread does

    def next_claim(self) -> Claim | None:
        """The next claim; sleeps until there is one. None when the prefetcher is stopping."""
        while True:
            lead = False
            with self._cond:
                while not self._stopping:
                    if self._suspects.may_begin(self._handled):
                        return self._pick(self._suspects.waiting)
                    if self._suspects.hold_up():
                        if self._done:
                            break
                        self._cond.wait(HELD_UP_S)
                        continue
                    if self._claims:
                        return self._pick(self._claims)
                    if not self._leading:
                        lead = self._leading = True
                        break
                    if self._listening and self._done:
                        break  # this thread's own acknowledgement must not wait for the sleeping leader
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
        """The oldest claim of a pile in the prefetcher (the caller holds the condition)."""
        self._taken_at = time.monotonic()
        claim = pile.popleft()
        self._handled += 1
        self.presence.take(claim.token)
        if pile is self._suspects.waiting:
            self._suspects.began(claim)
        if self._waiting or self._claims or self._done:
            if self._body_s > SHORT_S:
                self._cond.notify()
            if not self._watch.is_set():
                self._watch.set()
        return claim

    def _lead(self) -> None:
        try:
            next_due = self._settle_and_claim(0 if self.quiet else self._want())
            if not self._claimed():
                self._listen(next_due)
        finally:
            with self._cond:
                self._leading = False

    def _want(self) -> int:
        """How many claims fit into a window; at least one for each thread that waits; none while all are held up."""
        if self._suspects.hold_up():
            return 0
        return max(self._waiting + 1, min(BATCH_MAX, int(WINDOW_S / max(self._body_s, 1e-6))))

    def _listen(self, next_due: float | None) -> None:
        """Sleep until the pipe wakes it, something falls due, or the prefetcher stops."""
        self._listening = True
        self.presence.asleep(not self.quiet)  # a wake-up that went to a quiet one would be lost for the others
        try:
            # Look once more now that the flag is up: a defer in between saw no sleeper and rang nobody.
            if self._done:
                return
            if not self.quiet:
                next_due = self._settle_and_claim(self._want())
            if not self.quiet and (self._claimed() or self._stopping):
                if self.presence.pipe.wait(0):  # for another job that was accepted meanwhile: others may sleep
                    self.storage.wake(1, self.queues)
            else:
                timeout = SLEEP_S if next_due is None else min(SLEEP_S, next_due - clock.now())
                self._notified = self.presence.pipe.wait(timeout)
        finally:
            self.presence.asleep(False)
            self._listening = False

    def _claimed(self) -> bool:
        """Whether a claim lies here."""
        return bool(self._claims or self._suspects.waiting)

    def begin(self, settlement: Settlement) -> None:
        """A body starts in this thread."""
        started, timeout = settlement.started_at or 0.0, settlement.claim.timeout_s
        self.presence.begin(settlement.claim.token, started, started + timeout if timeout else 0.0)
        self._here.began = time.perf_counter()
        if settlement.claim.flags & ONCE and not self.storage.hold(self.presence, settlement.claim.token):
            raise errors.ClaimLost(f"job {settlement.claim.id} was taken away before its body began")
        if faults.point:
            faults.point("body.begun")

    def body_ended(self, settlement: Settlement) -> None:
        """The body of this thread ended; its job is not over yet."""
        self.presence.body_ended(settlement.claim.token, settlement.started_at or 0.0)
        if faults.point:
            faults.point("body.ended")
        self._body_s += (time.perf_counter() - self._here.began - self._body_s) * 0.2

    def ack(self, settlement: Settlement) -> None:
        """Leave a settlement, which the next turn commits; that of a job that must not run twice is committed before
        its mark goes, and before a suspect may begin that could take it along."""
        once = settlement.claim.flags & ONCE
        if not once:
            self.presence.finish()
        with self._cond:
            if not self._done:
                self._done_at = time.monotonic()
            self._done.append(settlement)
        if once and self._committed(settlement.claim.token):
            self.storage.sync()  # else a power cut could undo the outcome, and not the end of its mark
            self.presence.finish()
        with self._cond:
            self._handled -= 1
            self._suspects.ended(settlement.claim)
            if self._suspects.waiting:  # else this thread is back in a moment, and takes what is next itself
                self._cond.notify()

    def _committed(self, token: int) -> bool:
        """Commit what is finished until this job's outcome is; False when the prefetcher stops before: `drain` goes
        on."""
        while True:
            self._settle_and_claim(0)
            with self._turning, self._cond:  # no turn that took it along is still under way
                if all(settlement.claim.token != token for settlement in self._done):
                    return True
                if self._stopping:
                    return False

    # the transaction

    def _settle_and_claim(self, want: int) -> float | None:
        """Commit what is finished and claim up to `want`; the instant of the next scheduled job."""
        with self._turning:
            with self._cond:
                done, self._done = self._done, []
            if not done and not want:
                return None
            try:
                turn = self.storage.settle_and_claim(self.presence.n, done, want, self.queues, self._notified)
            except errors.StorageUnavailable as exc:
                self._keep(done, exc)
                return None
            except Exception as exc:
                logger.exception("a turn failed")
                self._keep(self._mended(done), exc)
                return None
            self._failures, self._notified = 0, False
            for settlement in done:
                if settlement.claim.token in turn.lost:
                    logger.warning("the claim of job %s is gone: its outcome was not written", settlement.claim.id)
            with self._cond:
                for claim in turn.claims:
                    if not self._suspects.add(claim):
                        self._claims.append(claim)
                self._taken_at = time.monotonic()
                if turn.claims:  # a turn that only settles has not looked
                    self.revocations = turn.revocations
        if turn.more:
            self.storage.wake(1, self.queues)
        return turn.next_due

    def _keep(self, done: list[Settlement], exc: Exception) -> None:
        """Hold what could not be committed, and wait a little before the next try."""
        with self._cond:
            self._done[:0] = done
        if not self._failures:
            logger.warning("%s%s", exc, f"; {len(done)} finished jobs are kept until then" if done else "")
        delay = min(BACK_OFF_S[1], BACK_OFF_S[0] * 2 ** min(self._failures, 10))
        self._failures += 1
        time.sleep(delay)

    def _mended(self, done: list[Settlement]) -> list[Settlement]:
        """After an error that is not the storage's: one settlement must not hold up the others for ever."""
        if self._failures < 3:
            return done
        kept: list[Settlement] = []
        for settlement in done:
            try:
                self.storage.settle_and_claim(self.presence.n, [settlement], 0, ())
            except errors.StorageUnavailable:
                kept.append(settlement)
            except Exception as own:
                kept.append(self.storage.compose.end(settlement.claim, FAILED, own))
        return kept

    # the flusher

    def _flush_stale(self) -> None:
        """See that nothing lies in the prefetcher for longer than the window; looks when the first thing will have."""
        pause_s, calm = SHORT_S, 0
        while True:
            self._watch.wait()
            time.sleep(pause_s)
            with self._cond:
                now = time.monotonic()
                alone_s = now - self._taken_at  # since a thread was here: long, and it is in a long body
                stale: list[Claim] = []
                if self._waiting and alone_s >= SHORT_S and (self._claims or not self._leading):
                    self._cond.notify()
                elif self._claims and alone_s >= WINDOW_S:
                    stale = list(self._claims)
                    self._claims.clear()
                overdue = bool(self._done) and now - self._done_at >= ACK_S
                calm = 0 if self._claims or self._done or (self._waiting and not self._leading) else calm + 1
                if calm > CALM_LOOKS:
                    self._watch.clear()
                pause_s = self._until_next_look(now)
            if stale:
                self._release_claims(stale)
            if overdue:
                self._settle_and_claim(0)

    def _until_next_look(self, now: float) -> float:
        """Seconds until something may have lain for too long (the caller holds the condition)."""
        patience_s = SHORT_S if self._waiting else WINDOW_S
        until = [self._taken_at + patience_s] if self._claims else []
        until += [self._done_at + ACK_S] if self._done else []
        return max(SHORT_S / 4, min(until, default=now + min(ACK_S, patience_s)) - now)

    def _release_claims(self, claims: list[Claim]) -> None:
        try:
            self.storage.release_claims(self.presence.n, claims)
        except Exception as exc:
            logger.warning("%s; %d claims stay here meanwhile", exc, len(claims))
            with self._cond:
                self._claims.extendleft(reversed(claims))

    # the end

    def stop(self) -> None:
        """Take no more; give back what has not begun; let waiting threads go."""
        with self._cond:
            self._stopping = True
            claims = [*self._claims, *self._suspects.waiting]
            self._claims.clear()
            self._suspects.waiting.clear()
            self._cond.notify_all()
        self.presence.pipe.notify()
        if claims:
            self._release_claims(claims)

    def drain(self, deadline: float) -> bool:
        """Commit what is finished; tries until `deadline` (monotonic). True when nothing is left."""
        while True:
            self.stop()  # a turn that was on its way when the prefetcher stopped has brought claims since
            self._settle_and_claim(0)
            if not (self._done or self._claimed()):
                return True
            if time.monotonic() >= deadline:
                return False
