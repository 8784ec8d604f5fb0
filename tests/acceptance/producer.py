"""A client that enqueues while harm is done."""

from __future__ import annotations

import threading

from duey import errors
from tests.acceptance.deployment import Deployment


class Producer:
    """Enqueues short jobs until it is stopped. `accepted`: their numbers and ids, in order. `refused`: whether each
    of the others may have been stored."""

    def __init__(self, deployment: Deployment) -> None:
        self.accepted: list[tuple[int, str]] = []
        self.refused: list[bool | None] = []
        self._tasks, self._stop = deployment.tasks, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        n = 0
        while not self._stop.wait(0.003):
            n += 1
            try:
                self.accepted.append((n, self._tasks.note(n, 0.005).id))
            except errors.StorageUnavailable as exc:
                self.refused.append(exc.stored)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
