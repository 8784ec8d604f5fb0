"""Code of an author, run in a thread of its own: whatever it does there, it holds nobody else up.

A function of a minute, the constructor of a registered type, a `unique_key` and a receiver of signals may raise, sleep
or call sys.exit. The scheduler and the pages run what belongs to one schedule under that schedule's name: they wait a
moment for the answer, and while the call goes on it is not begun again. Such a thread cannot be ended: it lasts until
the code returns.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from duey import errors

PATIENCE_S = 0.5  # for an answer, counted from the beginning of the call: who hangs is waited for once


class Answer:
    """What a call comes to."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._ended = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self, function: Callable[[], Any]) -> None:
        try:
            self._value = function()
        except BaseException as exc:  # also SystemExit, which would end the thread of whoever called it
            self._error = exc

    def wait(self, patience_s: float) -> bool:
        """Whether it has ended, at the latest `patience_s` after its beginning."""
        return self._ended.wait(max(0.0, self.began + patience_s - time.monotonic()))

    def end(self) -> None:
        self._ended.set()

    def value(self) -> Any:
        """What was returned. Raises what was raised, and BrokenSchedule for what is no Exception or has not ended."""
        if not self._ended.is_set():
            raise errors.BrokenSchedule(
                f"code of its author has not answered for {time.monotonic() - self.began:.1f} s"
            )
        if self._error is None:
            return self._value
        if isinstance(self._error, Exception):
            raise self._error
        raise errors.BrokenSchedule(reason_of(self._error))


class Aside:
    """The calls that go on, by the name that they run under."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # around a look into the table only
        self._going: dict[str, Answer] = {}

    def ask(self, name: str, function: Callable[[], Any]) -> Answer:
        """Begin a call under this name, unless one goes on: then its answer."""
        with self._lock:
            answer = self._going.get(name)
            if answer is not None:
                return answer
            answer = self._going[name] = Answer()
        try:
            threading.Thread(target=self._run, args=(name, answer, function), name=f"Aside {name}", daemon=True).start()
        except RuntimeError:  # no thread to be had
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
        """For how long a call has been going on under this name."""
        answer = self._going.get(name)
        return None if answer is None else time.monotonic() - answer.began


class Complaints:
    """Says what is wrong, once for as long as it stays the same."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: dict[str, str] = {}

    def say(self, name: str, sentence: str, exc: BaseException | None = None) -> None:
        """Log it, unless it was the last that was said under this name."""
        said = sentence if exc is None else f"{sentence}: {reason_of(exc)}"
        if self._said.get(name) == said:
            return
        self._said[name] = said
        expected = exc is None or isinstance(exc, errors.DueyError)
        self._logger.log(logging.WARNING if expected else logging.ERROR, "%s", said, exc_info=None if expected else exc)

    def forget(self, name: str) -> None:
        """All is well again: the next complaint is news."""
        self._said.pop(name, None)


def reason_of(exc: BaseException) -> str:
    """Why something failed, also where the exception cannot say so itself."""
    try:
        said = str(exc)[:500]
    except Exception:
        said = "its message cannot be read"
    if isinstance(exc, errors.DueyError):
        return said
    return f"{type(exc).__name__}: {said}" if said else type(exc).__name__
