"""What waits in a prefetcher: claims until a thread takes them, and outcomes until a transaction commits them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from duey.model.job import Claim
from duey.model.outcome import Outcome
from duey.worker.poison_suspects import PoisonSuspects

WINDOW_S = 0.004  # longest time that a claim waits here before it begins
ACK_S = 0.003  # longest time that an outcome waits for its commit, so that it is visible within 5 ms
SHORT_S = 0.001  # for shorter bodies, waiting is cheaper than handing over to another thread


class Buffer:
    """Guarded by the prefetcher's condition. `max_crashes`: see PoisonSuspects."""

    def __init__(self, max_crashes: int | None) -> None:
        self.claims: deque[Claim] = deque()
        self.suspects = PoisonSuspects(max_crashes)
        self.outcomes: list[Outcome] = []
        self.taken_at = 0.0  # monotonic: since when no claim has arrived and no thread has taken one
        self._outcomes_since = 0.0  # monotonic

    def has_claims(self) -> bool:
        """Whether a claim waits, also that of a suspect."""
        return bool(self.claims or self.suspects.waiting)

    def add_claims(self, claims: Iterable[Claim]) -> None:
        """Add the claims of a transaction."""
        for claim in claims:
            if not self.suspects.add(claim):
                self.claims.append(claim)
        self.taken_at = time.monotonic()

    def remove_claims(self) -> list[Claim]:
        """Remove all claims and return them."""
        removed = [*self.claims, *self.suspects.waiting]
        self.claims.clear()
        self.suspects.waiting.clear()
        return removed

    def add_outcome(self, outcome: Outcome) -> None:
        """Add the outcome of a job."""
        if not self.outcomes:
            self._outcomes_since = time.monotonic()
        self.outcomes.append(outcome)

    def overdue(self, now: float) -> bool:
        """Whether outcomes have waited for too long."""
        return bool(self.outcomes) and now - self._outcomes_since >= ACK_S

    def until_next_look(self, now: float, idle_threads: int) -> float:
        """Seconds until the first claim or outcome reaches its limit."""
        patience_s = SHORT_S if idle_threads else WINDOW_S
        until = [self.taken_at + patience_s] if self.claims else []
        until += [self._outcomes_since + ACK_S] if self.outcomes else []
        return max(SHORT_S / 4, min(until, default=now + min(ACK_S, patience_s)) - now)
