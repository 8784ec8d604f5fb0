"""A stream of jobs through the load balancer, and the test's own ledger of what was acknowledged.

What was answered 202 is accepted. What was not may have been accepted all the same, and its answer lost: nobody sends
it again.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException

from tests.acceptance.harm import SEED
from tests.acceptance.hosts.duey_host import HostClient
from tests.support import wait_until

SECONDS = (0.0, 0.0, 0.01, 0.05, 0.2)  # that a body takes


class Stream:
    """Two clients, until the block ends. `accepted`: the id of each job by its number; `asked`: all numbers."""

    def __init__(self, client: Callable[[], HostClient], pace_s: float) -> None:
        self._client, self._pace_s = client, pace_s
        self.accepted: dict[int, str] = {}
        self.asked: set[int] = set()
        self.refused: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(SEED + n,), daemon=True) for n in range(2)]

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many more are accepted."""
        wanted = len(self.accepted) + count
        wait_until(
            lambda: len(self.accepted) >= wanted, 60, f"{count} more jobs are accepted (refused: {self.refused})"
        )

    def _send(self, seed: int) -> None:
        rng, client = random.Random(seed), self._client()
        while not self._stop.is_set():
            n = next(self._numbers)
            self.asked.add(n)
            try:
                answer = client.post("/api/jobs", {"task": "note", "args": [n, rng.choice(SECONDS)]})
            except (OSError, HTTPException) as exc:
                self.refused[type(exc).__name__] += 1
                client.close()
            else:
                if answer.status == 202:
                    self.accepted[n] = answer.body["id"]
                else:
                    self.refused[str(answer.status)] += 1
            self._stop.wait(rng.uniform(0, 2 * self._pace_s))
        client.close()
