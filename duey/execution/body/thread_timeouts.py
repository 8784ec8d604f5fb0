"""Time-outs: TaskTimeout is raised while a body runs its own code, and nowhere else.

An exception from outside can strike between taking a lock and the `try` that frees it. So none is raised while the
thread is in Duey, Huey, logging, threading or an import; the alarm tries again a moment later. Functions among these
that a body may call in a loop check the deadline themselves (`duey.tasks.current.heed_timeout`).

Thread workers: one thread of the process inspects the frames of a body that is past its deadline and raises in it, as
CPython allows. It takes no lock that a body could hold, and does not log. A body that catches Exception or is in C code
cannot be stopped in a thread; that is logged once for each job. Process workers: SIGALRM interrupts the body, and the
supervisor kills the process if that does not help.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from types import CodeType, FrameType
from typing import Any, Protocol

import huey.api
from huey.exceptions import TaskTimeout

from duey.tasks.current import Deadline, JobContext

SAY_AFTER_S = 2.0  # after the deadline
RETRY_S = (0.001, 0.02)  # until the next attempt if none may be raised now; increasing

ENGINE = str(Path(__file__).parents[2]) + os.sep
RECIPES = ENGINE + "recipes" + os.sep  # called by tasks, and treated like an author's own code
HUEY = os.path.dirname(huey.__file__) + os.sep
LOGGING = os.path.dirname(logging.__file__) + os.sep
THREADING = threading.__file__
HELD = (ENGINE, HUEY, LOGGING, THREADING, "<frozen importlib", importlib.__file__)
WAITING = threading.Condition.wait.__code__  # blocks in a `try` that is prepared for exceptions from outside
THROUGH = frozenset({"inner", "call_local"})  # of huey.api, around an author's functions: lock_task, rate_limit ...


class Timeouts(Protocol):
    """Enforces the time-outs of one kind of worker."""

    deaf: deque[str]  # ids of jobs that ignore their time-out and cannot be stopped; to be logged

    def run(self, deadline: Deadline, body: Callable[[], Any]) -> Any:
        """Run the body and return its result. Raises TaskTimeout in it after the deadline."""


def held(code: CodeType) -> bool:
    """Whether code may hold something shared: a lock, a connection, a half-done change."""
    return code.co_filename.startswith(HELD) and not code.co_filename.startswith(RECIPES)


def may_raise(frame: FrameType | None) -> bool:
    """Whether an exception may be raised in a thread that is at this frame: it is in a body, and in an author's
    code."""
    if frame is not None and frame.f_code is WAITING:
        while frame is not None and frame.f_code.co_filename == THREADING:
            frame = frame.f_back
    if frame is None or held(frame.f_code):
        return False
    passed_held = False
    while frame is not None:
        code = frame.f_code
        if code in BOUNDARIES:
            return True
        if not held(code):
            if passed_held:
                return False  # an author's code that Duey or Huey has called, such as a hook
        elif not (code.co_name in THROUGH and code.co_filename.startswith(HUEY)):
            passed_held = True
        frame = frame.f_back
    return False  # the thread runs no body


class ThreadTimeouts:
    """For all thread workers of a process. It takes no locks: single operations on a dict are atomic."""

    def __init__(self) -> None:
        self._watches: dict[int, Deadline] = {}
        self._looks_at = math.inf  # monotonic
        self._wake: SimpleQueue[None] = SimpleQueue()
        self.deaf: deque[str] = deque()
        threading.Thread(target=self._look_on, name="Alarm", daemon=True).start()

    def run(self, deadline: Deadline, body: Callable[[], Any]) -> Any:
        self._watches[deadline.thread] = deadline
        if deadline.at < self._looks_at:
            self._wake.put(None)
        try:
            return body()
        finally:
            del self._watches[deadline.thread]
            while deadline.striking:
                time.sleep(0.0001)
            if deadline.struck:
                raise_in(deadline.thread, None)  # withdraw an exception that has not been raised yet

    def _look_on(self) -> None:
        while True:
            self._looks_at = math.inf  # a deadline that is set from here on wakes this thread
            self._looks_at = looks_at = self._look()
            pause_s = None if looks_at == math.inf else max(0.0, looks_at - time.monotonic())
            with contextlib.suppress(Empty):
                self._wake.get(timeout=pause_s)

    def _look(self) -> float:
        """Raise in every body that is past its deadline. Returns when to look again (monotonic)."""
        looks_at, now = math.inf, time.monotonic()
        for deadline in list(self._watches.values()):
            late_s = now - deadline.at
            if late_s < 0:
                looks_at = min(looks_at, deadline.at)
                continue
            if not (deadline.struck or self._strike(deadline)):
                looks_at = min(looks_at, now + min(RETRY_S[1], RETRY_S[0] + late_s / 50))
            if late_s >= SAY_AFTER_S and not deadline.reported:
                deadline.reported = True
                self.deaf.append(deadline.job_id)
            elif not deadline.reported:
                looks_at = min(looks_at, deadline.at + SAY_AFTER_S)
        return looks_at

    def _strike(self, deadline: Deadline) -> bool:
        """Raise TaskTimeout in the body if that is allowed now. False: try again."""
        thread = deadline.thread
        deadline.striking = True  # keeps the thread from leaving the body meanwhile
        try:
            if self._watches.get(thread) is not deadline:
                return True
            if not may_raise(sys._current_frames().get(thread)):
                return False
            deadline.struck = True
            raise_in(thread, TaskTimeout)
            # Check again: this thread may have lost the interpreter lock between the check and the raise.
            if not may_raise(sys._current_frames().get(thread)):
                raise_in(thread, None)
                deadline.struck = False
            return deadline.struck
        finally:
            deadline.striking = False


def raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raise in another thread at its next bytecode. None withdraws an exception that has not been raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if exception is None else ctypes.py_object(exception)
    )


class SignalTimeouts:
    """For the one body of a process worker, which runs in its main thread."""

    def __init__(self) -> None:
        self._deadline: Deadline | None = None
        self.deaf: deque[str] = deque()  # stays empty: the supervisor kills the process

    def run(self, deadline: Deadline, body: Callable[[], Any]) -> Any:
        before = signal.signal(signal.SIGALRM, self._on_alarm)
        self._deadline = deadline
        signal.setitimer(signal.ITIMER_REAL, max(1e-6, deadline.at - time.monotonic()))
        try:
            return body()
        finally:
            self._deadline = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        if self._deadline is None or self._deadline.struck:
            return
        if may_raise(frame):
            self._deadline.strike()
        signal.setitimer(signal.ITIMER_REAL, RETRY_S[0])


BOUNDARIES = frozenset({ThreadTimeouts.run.__code__, SignalTimeouts.run.__code__})


def timed(timeouts: Timeouts | None, running: JobContext, body: Callable[[], Any]) -> Any:
    """Run the body and return its result. Raises TaskTimeout in it, with a message, after its time-out."""
    try:
        return body() if timeouts is None else timeouts.run(running.deadline, body)
    except TaskTimeout as exc:
        exc.args = (f"it ran past its timeout of {running.claim.job.timeout_s:g} s",)
        raise
