"""The prefetcher of a worker process with weighted queues: their order is drawn anew for each turn
(duey.worker.pools)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duey.worker.pools import drawn
from duey.worker.prefetcher import Prefetcher


class WeightedPrefetcher(Prefetcher):
    """A Prefetcher whose queues are in random order. `weights`: of the queues, in the same order."""

    def __init__(self, *args: Any, weights: Sequence[int], **options: Any) -> None:
        self._weights = weights
        super().__init__(*args, **options)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues, in the order of the next turn."""
        return drawn(self._queues, self._weights)

    @queues.setter
    def queues(self, queues: tuple[str, ...]) -> None:
        self._queues = queues
