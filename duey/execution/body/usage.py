"""How much processor time and memory a body used.

Processor time: of the thread in a thread worker, of the whole process in a process worker (without the processes that a
body starts). Memory: the largest resident size of a worker process while the body ran; in a thread worker it cannot be
told whose it is. Linux keeps the largest size of a process (VmHWM), and lets it begin anew (/proc/self/clear_refs).
Where that is not allowed, the largest size is known only of a body during which it grew.

Bodies that run for less than LEAST_S are not measured, because that would cost more than they do. Of a task whose
bodies are always that short, not even the beginning is measured.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from duey.errors import JobError

LEAST_S = 0.01
SHORT_BODIES = 20  # in a row, after which the beginnings of a task's bodies are not measured
_HIGHEST = re.compile(rb"VmHWM:\s+(\d+) kB")


class MemoryExceeded(JobError):
    """The process that handled the job was killed, because it used more memory than the task may."""

    def __init__(self, how_much: str) -> None:
        super().__init__(f"killed: it used {how_much}")


class Usage(NamedTuple):
    """What one attempt used. `peak_bytes` is None if it is not known."""

    cpu_ms: float
    peak_bytes: int | None


class Meter:
    """Measures the bodies of a thread worker."""

    def __init__(self, read_cpu_s: Callable[[], float] = time.thread_time) -> None:
        self._read_cpu_s = read_cpu_s
        self._short: dict[str, int] = {}  # by task: how many bodies in a row were short

    def begin(self, task: str) -> float | None:
        """A body of this task begins in this thread. Returns what `end` needs; None: it is not measured."""
        return None if self._short.get(task, 0) >= SHORT_BODIES else self._read_cpu_s()

    def end(self, task: str, began: float | None, run_s: float) -> Usage | None:
        """The body has ended. Returns what it used, if it was measured."""
        if run_s < LEAST_S:
            if began is not None:
                self._short[task] = self._short.get(task, 0) + 1
            return None
        self._short.pop(task, None)
        if began is None:
            return None
        return Usage(round((self._read_cpu_s() - began) * 1000, 3), self._peak_bytes())

    def _peak_bytes(self) -> int | None:
        return None


class ProcessMeter(Meter):
    """Measures the bodies of a process worker, which runs one at a time."""

    def __init__(self) -> None:
        super().__init__(time.process_time)
        self._highest = highest_bytes()
        self._begins_anew = begin_anew()

    def _peak_bytes(self) -> int | None:
        before, self._highest = self._highest, highest_bytes()
        peak = self._highest if self._begins_anew or self._highest > before else None
        if self._begins_anew:
            begin_anew()
        return peak or None


def highest_bytes() -> int:
    """The largest resident size of this process since its start or `begin_anew`; 0 if it cannot be read."""
    try:
        with open("/proc/self/status", "rb") as status:
            found = _HIGHEST.search(status.read())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def begin_anew() -> bool:
    """Let the largest resident size begin with the present one. False if that is not allowed."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as clear:
            clear.write(b"5")
    except OSError:
        return False
    return True
