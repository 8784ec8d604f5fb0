"""What waits in a prefetcher: claims until a thread takes them, and outcomes until a transaction commits them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from duey.model.job import Claim
from duey.model.outcome import Outcome
from duey.worker.pace import SHORT_S, WINDOW_S
from duey.worker.poison_suspects import PoisonSuspects

ACK_S = 0.003  # longest time that an outcome waits for its commit, so that it is visible within 5 ms


class Buffer:
    """Guarded by the prefetcher's condition."""

    def __init__(self, suspects: PoisonSuspects) -> None:
        self.claims: deque[Claim] = deque()
        self.suspects = suspects
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

    def take_stale(self, alone_s: float, patience_s: float) -> list[Claim]:
        """Remove the claims that have waited too long because no thread took one, and return them."""
        stale = list(self.claims) if alone_s >= patience_s else []
        if stale:
            self.claims.clear()
        return stale

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

    def until_next_look(self, now: float, idle_threads: int, patience_s: float) -> float:
        """Seconds until the first claim or outcome may reach its limit."""
        patience_s = SHORT_S if idle_threads else patience_s
        until = [self.taken_at + patience_s] if self.claims else []
        until += [self._outcomes_since + ACK_S] if self.outcomes else []
        first_s = min(until, default=now + min(ACK_S, patience_s)) - now
        return max(SHORT_S / 4, min(first_s, WINDOW_S))  # an outcome may come in a moment
