"""Releases the claims of dead worker processes, for the supervisor of a consumer.

If a body was killed at its time-out, the back-off function of its task may have to be called. That is an author's code,
so a child process does it, and writes the retry. It has APART_S; the supervisor goes on meanwhile. What the child has
not released then, the supervisor releases, without asking any function.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from duey import errors, os_process
from duey.storage.presence import HOST
from duey.storage.values import DeadWorker
from duey.worker.watchdog import WorkerProcess

APART_S = 3.0

logger = logging.getLogger("duey.consumer")


class Apart(NamedTuple):
    """A child process that releases the claims of a dead worker."""

    dead: DeadWorker
    pid: int
    deadline: float  # monotonic


class Reaper:
    """For one consumer."""

    def __init__(self, huey: Any, max_crashes: int, consumer: str) -> None:
        self._huey, self._max_crashes, self._consumer = huey, max_crashes, consumer
        self.apart: list[Apart] = []

    def reap(self, child: WorkerProcess, code: int) -> bool:
        """Release the claims of a worker process that has ended with this exit code. True if it handled a job."""
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        if not child.killed:
            logger.error("%s (pid %d) died %s", child.spec.name, child.pid, how)
        if not child.number:
            return False
        dead = DeadWorker(
            child.number, HOST, child.pid, not child.killed, frozenset(child.timed_out), child.stack, child.too_much,
            how=how,
        )  # fmt: skip
        if not dead.timed_out:
            return self._release(dead)
        self._huey.storage.close()  # the child must find no open connection
        pid = os_process.apart(lambda: self._huey.lifecycle.reap(dead, self._max_crashes))
        self.apart.append(Apart(dead, pid, time.monotonic() + APART_S))
        return True

    def _release(self, dead: DeadWorker) -> bool:
        try:
            return bool(self._huey.lifecycle.reap(dead, self._max_crashes))
        except errors.StorageUnavailable as exc:
            logger.warning("%s; its jobs are returned when the storage is back", exc)
            return False

    @property
    def claimed(self) -> list[int]:
        """The dead workers whose claims a child process is about to release: nobody else may do it meanwhile."""
        return [each.dead.worker for each in self.apart]

    def tend(self, now: bool = False) -> None:
        """Look after the child processes. `now`: wait for none."""
        for each in list(self.apart):
            if now or time.monotonic() >= each.deadline:
                os.kill(each.pid, signal.SIGKILL)
                os.waitpid(each.pid, 0)
                logger.error("a back-off has not answered in time: the retry waits for retry_delay")
            elif os.waitpid(each.pid, os.WNOHANG) == (0, 0):
                continue
            self.apart.remove(each)
            self._release(each.dead._replace(asks=False))  # nothing is left if the child has done it

    def rescue(self, own: Iterable[int] = ()) -> None:
        """Release the claims of other dead workers of any consumer of this storage, except those in `own`."""
        rescued = self._huey.lifecycle.rescue(self._max_crashes, [*own, *self.claimed], self._consumer)
        if rescued:
            logger.warning("rescued %d jobs of dead workers: %s", len(rescued), ", ".join(rescued[:10]))
