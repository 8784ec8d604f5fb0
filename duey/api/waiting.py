"""Requests that wait for the end of a job.

Each of them holds a thread of the web process. At most half of the threads may wait, so that the others can always
answer. If no place is free, the request gets the present state at once, with a Retry-After.
A waiting request checks after each slice whether its client has disconnected or the service is closing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from duey.api.requests import MAX_WAIT_S
from duey.control.service import Control
from duey.model.job import ENDED, Job

SLICE_S = 1.0  # the longest delay until a lost client or a shutdown is noticed


class WaitingRoom:
    """Lets half of `threads` wait."""

    def __init__(self, control: Control, threads: int) -> None:
        self._control = control
        self._seats = threading.Semaphore(threads // 2)
        self._closing = threading.Event()

    def wait(self, job_id: str, seconds: float, environ: Mapping[str, Any]) -> tuple[Job, bool]:
        """Wait at most `seconds` (up to 30) for the job's end. Return the job, and False if no place was free."""
        if not self._seats.acquire(blocking=False):
            return self._control.job(job_id), False
        try:
            return self._wait(job_id, min(seconds, MAX_WAIT_S), _client_gone(environ)), True
        finally:
            self._seats.release()

    def close(self) -> None:
        """End all waits within a slice. Later calls of `wait` return at once."""
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
    # Waitress sets this function only with channel_request_lookahead > 0. Without it, clients count as connected.
    return environ.get("waitress.client_disconnected") or (lambda: False)
