"""The claims of a prefetcher whose jobs one more death would fail: each begins alone, so that none dies of another's
deed.

A suspect begins when nothing else runs beside it, or when that was waited for long enough. Nothing else begins before
it does, nor in its first seconds, and another suspect not before its end: one of the two may be innocent.
"""

from __future__ import annotations

import time
from collections import deque

from duey.model.job import Claim
from duey.storage.deaths import is_poison_suspect

DRAIN_S = 2.0  # longest that a suspect waits for what runs beside it
ALONE_S = 1.0  # how long nothing new begins beside a suspect: what kills does so soon, and all cannot wait for ever


class PoisonSuspects:
    """Those of one worker process, whose prefetcher guards them by its condition. Without `max_crashes` there are
    none."""

    def __init__(self, max_crashes: int | None) -> None:
        self.waiting: deque[Claim] = deque()
        self._max_crashes = max_crashes
        self._waiting_since = self._began_at = 0.0  # monotonic
        self._token: int | None = None  # of the one that runs

    def add(self, claim: Claim) -> bool:
        """Take a claim if its job is a suspect."""
        if self._max_crashes is None or not is_poison_suspect(claim, self._max_crashes):
            return False
        if not self.waiting:
            self._waiting_since = time.monotonic()
        self.waiting.append(claim)
        return True

    def may_begin(self, handled: int) -> bool:
        """Whether the first one may begin, beside so many jobs that are handled."""
        if not self.waiting or self._token is not None:
            return False
        return not handled or time.monotonic() - self._waiting_since > DRAIN_S

    def hold_up(self) -> bool:
        """Whether nothing else may begin."""
        if self._token is not None:
            return time.monotonic() - self._began_at < ALONE_S
        return bool(self.waiting)

    def began(self, claim: Claim) -> None:
        """This one begins."""
        self._token, self._began_at = claim.token, time.monotonic()

    def ended(self, claim: Claim) -> None:
        """A job has ended, perhaps the one that ran alone."""
        if claim.token == self._token:
            self._token = None
