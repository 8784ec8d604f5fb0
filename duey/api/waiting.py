"""The waiting room: requests that wait for the end of a job, each of which holds a thread of the web process.

At most half of the threads may wait, so that the other half always answers. Who finds no seat is told the
present state at once, as if the time were over; a Retry-After asks it to breathe before it comes again. Who
waits, waits in slices, and between them looks whether the client has gone or the service is closing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from duey.control.service import Control
from duey.model.job import ENDED, Job

MAX_WAIT_S = 30.0
SLICE_S = 1.0  # how long a lost client or a shutdown may go unnoticed


class WaitingRoom:
    """Seats for half of `threads`."""

    def __init__(self, control: Control, threads: int) -> None:
        self._control = control
        self._seats = threading.Semaphore(threads // 2)
        self._closing = threading.Event()

    def wait(self, job_id: str, seconds: float, environ: Mapping[str, Any]) -> tuple[Job, bool]:
        """The job as it ends, at the latest after `seconds` (30 at most); and whether it was waited for."""
        if not self._seats.acquire(blocking=False):
            return self._control.job(job_id), False
        try:
            return self._wait(job_id, min(seconds, MAX_WAIT_S), _client_gone(environ)), True
        finally:
            self._seats.release()

    def close(self) -> None:
        """Let everybody who waits be answered within a slice; from now on nobody waits."""
        self._closing.set()

    def _wait(self, job_id: str, seconds: float, gone: Callable[[], bool]) -> Job:
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            if left <= 0 or self._closing.is_set() or gone():
                return self._control.job(job_id)
            job = self._control.wait(job_id, min(left, SLICE_S))
            if job.state in ENDED:
                return job


def _client_gone(environ: Mapping[str, Any]) -> Callable[[], bool]:
    # Waitress looks ahead on the connection only with channel_request_lookahead > 0; without, it says no.
    return environ.get("waitress.client_disconnected") or (lambda: False)
