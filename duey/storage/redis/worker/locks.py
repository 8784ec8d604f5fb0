"""The locks that this process holds as a worker.

Redis frees the locks of a worker when the worker ends. While it lives, one may stand there that nobody holds: the
answer to taking or freeing it was lost, the request arrived late, or Redis lost that it was freed. Such a lock would
stand as long as the worker lives. So the process remembers for DOUBT_S which locks it has freed, or does not know of,
and compares them with those in Redis. (It does not compare all, because a child that a body forks may take some.)
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence

DOUBT_S = 60.0  # longer than a request is held up, or changes are lost


class HeldLocks:
    """For one worker."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: Counter[str] = Counter()  # how many threads hold a lock, or are about to take it: one and more
        self._freed: OrderedDict[str, float] = OrderedDict()  # since when (monotonic), the latest at the end

    def taking(self, key: str) -> None:
        """A thread is about to take a lock."""
        with self._guard:
            self._held[key] += 1

    def freed(self, key: str) -> None:
        """A thread has freed a lock, did not get it, or does not know whether it has got it. Ignores other keys."""
        now = time.monotonic()
        with self._guard:
            if key not in self._held:
                return
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
            self._freed[key] = now
            self._freed.move_to_end(key)
            while next(iter(self._freed.values())) < now - DOUBT_S:
                self._freed.popitem(last=False)

    def strays(self, keys: Sequence[str]) -> list[str]:
        """Which of these locks, that stand in Redis, no thread holds."""
        with self._guard:
            return [key for key in keys if key in self._freed and key not in self._held]
