"""Runs an author's code in a thread of its own, so that it cannot block or harm the caller.

A function of a minute, the constructor of a registered type, a `unique_key` or a receiver of signals may raise, sleep
or call sys.exit. The scheduler and the pages call the code of a schedule under the name of the schedule. They wait a
short time for the answer, and do not call it again while a call is running. Such a thread cannot be stopped; it ends
when the code returns.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from duey import errors

PATIENCE_S = 0.5  # for an answer, counted from the beginning of the call, so that a hanging call delays only once


class Answer:
    """The result of a call, which may still be running."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._ended = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self, function: Callable[[], Any]) -> None:
        try:
            self._value = function()
        except BaseException as exc:  # also SystemExit
            self._error = exc

    def wait(self, patience_s: float) -> bool:
        """Wait until the call has ended, at most until `patience_s` after its beginning. Returns whether it has
        ended."""
        return self._ended.wait(max(0.0, self.began + patience_s - time.monotonic()))

    def end(self) -> None:
        self._ended.set()

    def value(self) -> Any:
        """The returned value. Raises what was raised; BrokenSchedule if that is not an Exception, or if the call has
        not ended."""
        if not self._ended.is_set():
            raise errors.BrokenSchedule(f"its code has not answered for {time.monotonic() - self.began:.1f} s")
        if self._error is None:
            return self._value
        if isinstance(self._error, Exception):
            raise self._error
        raise errors.BrokenSchedule(reason_of(self._error))


class Aside:
    """The running calls, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held only while reading or changing the table
        self._going: dict[str, Answer] = {}

    def ask(self, name: str, function: Callable[[], Any]) -> Answer:
        """Begin a call under this name, or return the answer of the one that is running."""
        with self._lock:
            answer = self._going.get(name)
            if answer is not None:
                return answer
            answer = self._going[name] = Answer()
        try:
            threading.Thread(target=self._run, args=(name, answer, function), name=f"Aside {name}", daemon=True).start()
        except RuntimeError:  # no thread can be started
            self._end(name, answer)
            raise
        return answer

    def _run(self, name: str, answer: Answer, function: Callable[[], Any]) -> None:
        answer.run(function)
        self._end(name, answer)

    def _end(self, name: str, answer: Answer) -> None:
        with self._lock:
            self._going.pop(name, None)
        answer.end()

    def going_s(self, name: str) -> float | None:
        """How long a call under this name has been running, in seconds; None if there is none."""
        answer = self._going.get(name)
        return None if answer is None else time.monotonic() - answer.began


class Complaints:
    """Logs problems, each once as long as it does not change. A storage that is away is one problem, however it is seen
    to be away: while a network is cut, that changes every few seconds."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._last: dict[str, str] = {}

    def log(self, name: str, sentence: str, exc: BaseException | None = None) -> None:
        """Log a problem, unless it is the last one that was logged under this name."""
        message = sentence if exc is None else f"{sentence}: {reason_of(exc)}"
        problem = type(exc).__name__ if isinstance(exc, errors.StorageUnavailable) else message
        if self._last.get(name) == problem:
            return
        self._last[name] = problem
        expected = exc is None or isinstance(exc, errors.DueyError)
        self._logger.log(
            logging.WARNING if expected else logging.ERROR, "%s", message, exc_info=None if expected else exc
        )

    def forget(self, name: str) -> None:
        """The problem is solved: log the next one even if it is the same."""
        self._last.pop(name, None)


def reason_of(exc: BaseException) -> str:
    """Why something failed. Works even if the exception's own methods raise."""
    try:
        message = str(exc)[:500]
    except Exception:
        message = "its message cannot be read"
    if isinstance(exc, errors.DueyError):
        return message
    return f"{type(exc).__name__}: {message}" if message else type(exc).__name__
