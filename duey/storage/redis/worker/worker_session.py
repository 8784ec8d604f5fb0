"""What a worker of this process holds, and what its next request needs."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from duey.model.job import ONCE
from duey.model.outcome import Outcome, Ttl
from duey.storage.redis import codec
from duey.storage.redis.worker.locks import HeldLocks
from duey.storage.redis.worker.presence import RedisPresence

ONCE_KEPT = 1000  # outcomes of `on_crash="fail"` jobs that can be settled again


class WorkerSession:
    """A worker of this process, with what its next turn needs."""

    def __init__(self, presence: RedisPresence, fields: list[Any]) -> None:
        self.presence, self.fields = presence, fields
        self.pid = os.getpid()
        self.lock = threading.Lock()  # one turn at a time, because it counts the tokens
        self.counter = 0  # of the next token
        self.unsure = False  # whether the answer of a turn was lost
        self.held: set[int] = set()  # tokens of the claims that were handed over and are neither settled nor released
        self.once: OrderedDict[int, tuple[Outcome, Ttl]] = OrderedDict()  # outcomes of jobs that must not run again
        self.locks = HeldLocks()
        self.epoch = 0
        self._counting = threading.Lock()

    def lost_answer(self) -> None:
        """A request of this worker may arrive late: those after it belong to the next epoch."""
        with self._counting:
            self.epoch += 1

    def settled(self, outcomes: Sequence[Outcome], stopped: Sequence[str], ttl: Ttl) -> None:
        """These claims have ended, except those that were `stopped`."""
        if stopped:
            outcomes = [each for each in outcomes if codec.token_text(each.claim.token) not in stopped]
        self.held.difference_update([each.claim.token for each in outcomes])
        self.once.update({each.claim.token: (each, ttl) for each in outcomes if each.claim.job.flags & ONCE})
        while len(self.once) > ONCE_KEPT:
            self.once.popitem(last=False)
