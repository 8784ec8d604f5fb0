"""Poison suspects: claimed jobs that run alone, so that an innocent one is not failed, and does not die of a guilty one
again and again.

A job that one more death of its worker would fail begins when nothing else runs in the process. A job whose whole
consumer has died with it begins when nothing else runs in the consumer (duey.worker.suspect_turn). Both begin anyway
after they have waited for that for DRAIN_S. While one waits, and for ALONE_S after it has begun, nothing else begins.
Another suspect begins only after the end of the first one, or of its turn.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from duey.execution.deaths import is_poison_suspect, is_tree_suspect
from duey.model.job import Claim
from duey.worker.suspect_turn import ALONE_S, SuspectTurn

DRAIN_S = 2.0  # longest time that a suspect waits for other jobs to end


class PoisonSuspects:
    """The suspects of one prefetcher, guarded by its condition. `max_crashes` None: a death of this process makes no
    job a suspect. `siblings_are_idle`: whether no other process of the consumer handles a job."""

    def __init__(
        self, max_crashes: int | None, turn: SuspectTurn, siblings_are_idle: Callable[[], bool] = lambda: True
    ) -> None:
        self.waiting: deque[Claim] = deque()
        self._max_crashes, self._turn, self._siblings_are_idle = max_crashes, turn, siblings_are_idle
        self._waiting_since = self._began_at = self._ends_at = 0.0  # monotonic
        self._token: int | None = None  # of the suspect that runs

    def add(self, claim: Claim) -> bool:
        """Add a claim if its job is a suspect. Returns whether it is one."""
        if not is_tree_suspect(claim.job) and (
            self._max_crashes is None or not is_poison_suspect(claim.job, self._max_crashes)
        ):
            return False
        if not self.waiting:
            self._waiting_since = time.monotonic()
        self.waiting.append(claim)
        return True

    def may_begin(self, handled: int) -> bool:
        """Whether the first suspect may begin, while so many jobs are handled here."""
        if not self.waiting or self._runs():
            return False
        since = self._waiting_since
        if is_tree_suspect(self.waiting[0].job):
            taken_at = self._turn.take()
            if taken_at is None:
                return False
            since = max(since, taken_at)
            handled = handled or not self._siblings_are_idle()
        return not handled or time.monotonic() - since > DRAIN_S

    def _runs(self) -> bool:
        """Whether a suspect runs, and no other one may begin."""
        return self._token is not None and time.monotonic() < self._ends_at

    def hold_up(self) -> bool:
        """Whether other jobs must not begin now."""
        if self._turn.holds_up():
            return True
        if self._runs():
            return time.monotonic() - self._began_at < ALONE_S
        return bool(self.waiting)

    def began(self, claim: Claim) -> None:
        """A suspect begins."""
        self._token, self._began_at, self._ends_at = claim.token, time.monotonic(), math.inf
        if is_tree_suspect(claim.job):
            self._ends_at = self._turn.begin(claim.job.tree_deaths)

    def ended(self, claim: Claim) -> None:
        """A job has ended, perhaps the suspect."""
        if claim.token == self._token:
            self._token = None
            self._turn.end()
