"""Caches a slow answer that rarely changes, for some seconds and for all visitors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """`get` returns the answer of `ask`, at most `seconds` old. Errors are raised and not cached."""

    def __init__(self, ask: Callable[[], T], seconds: float, clock: Callable[[], float]) -> None:
        self._ask, self._seconds, self._clock = ask, seconds, clock
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def get(self) -> T:
        now = self._clock()
        kept = self._kept
        # A negative age means that the clock was set back.
        if kept is not None and 0 <= now - kept[0] < self._seconds:
            return kept[1]
        with self._lock:
            answer = self._ask()
            self._kept = (now, answer)
            return answer
