"""The desk of a worker process whose queues are weighted: their order is drawn anew for each turn (engine.shares)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.desk import Desk
from engine.shares import drawn


class WeightedDesk(Desk):
    """A Desk; `weights` are those of the queues, in their order."""

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
