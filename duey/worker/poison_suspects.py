"""Poison suspects: claimed jobs that one more death would fail. Each runs alone, so that an innocent one is not failed.

A suspect begins when nothing else runs in the process, or after waiting for that for DRAIN_S. While it waits, and for
ALONE_S after it has begun, nothing else begins. Another suspect begins only after its end.
"""

from __future__ import annotations

import time
from collections import deque

from duey.execution.deaths import is_poison_suspect
from duey.model.job import Claim

DRAIN_S = 2.0  # longest time that a suspect waits for other jobs to end
ALONE_S = 1.0  # how long nothing else begins; a job that kills its worker usually does so soon


class PoisonSuspects:
    """The suspects of one prefetcher, guarded by its condition. `max_crashes` None: no job is a suspect."""

    def __init__(self, max_crashes: int | None) -> None:
        self.waiting: deque[Claim] = deque()
        self._max_crashes = max_crashes
        self._waiting_since = self._began_at = 0.0  # monotonic
        self._token: int | None = None  # of the suspect that runs

    def add(self, claim: Claim) -> bool:
        """Add a claim if its job is a suspect. Returns whether it is one."""
        if self._max_crashes is None or not is_poison_suspect(claim.job, self._max_crashes):
            return False
        if not self.waiting:
            self._waiting_since = time.monotonic()
        self.waiting.append(claim)
        return True

    def may_begin(self, handled: int) -> bool:
        """Whether the first suspect may begin, while so many jobs are handled."""
        if not self.waiting or self._token is not None:
            return False
        return not handled or time.monotonic() - self._waiting_since > DRAIN_S

    def hold_up(self) -> bool:
        """Whether other jobs must not begin now."""
        if self._token is not None:
            return time.monotonic() - self._began_at < ALONE_S
        return bool(self.waiting)

    def began(self, claim: Claim) -> None:
        """A suspect begins."""
        self._token, self._began_at = claim.token, time.monotonic()

    def ended(self, claim: Claim) -> None:
        """A job has ended, perhaps the suspect."""
        if claim.token == self._token:
            self._token = None
