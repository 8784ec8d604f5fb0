"""Timeouts in thread workers: what is possible is done, and what is not is said.

A process worker is interrupted by a signal, and killed when that does not help. A thread can only be asked: at the
deadline a TaskTimeout is raised in it, as CPython allows, which a body in Python code meets at its next step. A body
that catches Exception, or that is in C code, cannot be stopped in a thread: that is logged, once a job.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time

from huey.exceptions import TaskTimeout

logger = logging.getLogger("dewey.consumer")
SAY_AFTER_S = 2.0  # after the deadline


class Watch:
    """One running body: when it must end, and whether it was told."""

    __slots__ = ("deadline", "job_id", "rung", "said", "thread")

    def __init__(self, job_id: str, deadline: float) -> None:
        self.job_id, self.deadline = job_id, deadline  # monotonic
        self.thread = threading.get_ident()
        self.rung = self.said = False


class Alarms:
    """The alarms of all thread workers of a process; `look` is called every half second or so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[int, Watch] = {}

    def arm(self, job_id: str, timeout_s: float) -> None:
        """The body that starts in this thread must end within `timeout_s`."""
        watch = Watch(job_id, time.monotonic() + timeout_s)
        with self._lock:
            self._watches[watch.thread] = watch

    def disarm(self) -> None:
        """The body of this thread ended; an alarm that was rung and not yet heard is taken back."""
        with self._lock:
            watch = self._watches.pop(threading.get_ident(), None)
        if watch is not None and watch.rung:
            raise_in(watch.thread, None)

    def look(self) -> None:
        """Ring for every body that is past its deadline."""
        now = time.monotonic()
        with self._lock:
            for watch in self._watches.values():
                if now >= watch.deadline and not watch.rung:
                    watch.rung = True
                    raise_in(watch.thread, TaskTimeout)
                elif now >= watch.deadline + SAY_AFTER_S and not watch.said:
                    watch.said = True
                    logger.warning(
                        "job %s ignores its timeout, and a thread cannot be stopped: use process workers", watch.job_id
                    )


def raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raise in another thread at its next step; None takes back what was not yet raised."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if exception is None else ctypes.py_object(exception)
    )
