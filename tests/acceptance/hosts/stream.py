"""A stream of jobs through the load balancer, and the test's own ledger of what was acknowledged.

What was answered 202 is accepted. Anything else is sent again with the same Idempotency-Key, as a client should.
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
AGAIN_S = 0.2


class Stream:
    """Two clients, until the block ends. `accepted`: the id of each job by its number; `refused`: the other answers."""

    def __init__(self, client: Callable[[], HostClient], pace_s: float) -> None:
        self._client, self._pace_s = client, pace_s
        self.accepted: dict[int, str] = {}
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
            n, seconds = next(self._numbers), rng.choice(SECONDS)
            while not self._ask(client, n, seconds) and not self._stop.wait(AGAIN_S):
                pass
            self._stop.wait(rng.uniform(0, 2 * self._pace_s))
        client.close()

    def _ask(self, client: HostClient, n: int, seconds: float) -> bool:
        call = {"task": "note", "args": [n, seconds]}
        try:
            answer = client.post("/api/jobs", call, Idempotency_Key=f"stream-{n}")
        except (OSError, HTTPException) as exc:
            self.refused[type(exc).__name__] += 1
            client.close()
            return False
        if answer.status != 202:
            self.refused[str(answer.status)] += 1
            return False
        self.accepted[n] = answer.body["id"]
        return True
