"""Calls a body through the function that a tracer such as sentry-sdk has put in place of `Huey._execute`."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

from huey.api import Huey, Task


class Traced:
    """In place of the Huey whose `_execute` a tracer has replaced: calls the body through the tracer's function, and
    does nothing else of what `Huey._execute` does."""

    results = store_intermediate_errors = False
    _pre_execute: tuple[Any, ...] = ()

    def __init__(self, huey: Any) -> None:
        self._huey = huey
        self._tasks_in_flight: set[Task] = set()
        self._error: BaseException | None = None

    def execute(self, task: Task) -> Any:
        """The result of the body. Raises what it raises."""
        seen = copy.copy(task)  # so that what it does to the task afterwards is lost
        seen.on_complete = seen.on_error = seen.chord_config = None
        value = Huey._execute(self, seen, None)
        if self._error is not None:
            raise self._error
        return value

    def _run_post_execute(self, task: Task, value: Any, error: BaseException | None) -> None:
        self._error = error

    def _timeout_context(self, task: Task) -> Any:
        return nullcontext()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._huey, name)  # for the tracer

    def build_error_result(self, task: Task, error: BaseException) -> dict[str, Any]:
        return {}

    def _nothing(self, *_: Any) -> None:
        """No signal, no write."""

    _emit = delete = put_result = _abort_chord_member = _requeue_task = _nothing
