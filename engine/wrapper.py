"""What the decorators make of a function: Huey's TaskWrapper with Dewey's options and a body that cannot get away."""

from __future__ import annotations

import types
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from huey.api import Task, TaskWrapper

from engine import errors

# Options beyond Huey's; they become attributes of the task class.
OPTIONS: dict[str, str] = {
    "queue": "the name of the queue that its jobs wait in",
    "on_crash": "'retry' or 'fail': what happens when the worker dies while the body runs",
}
HUEYS = frozenset(
    {
        "default_retries", "default_retry_delay", "default_retry_backoff", "default_priority", "default_expires",
        "default_timeout", "validate_datetime",
    }
)  # fmt: skip


class DurableTaskWrapper(TaskWrapper):
    """A decorated function."""

    def create_task(
        self, func: Callable[..., Any], context: bool = False, name: str | None = None, **settings: Any
    ) -> type[Task]:
        check_options(name or func.__name__, settings)
        # A plain function as a class attribute would become a method; Huey's own validate_datetime wants to.
        settings = {
            key: staticmethod(value) if isinstance(value, types.FunctionType) and key not in HUEYS else value
            for key, value in settings.items()
        }
        cls = super().create_task(func, context, name, **settings)
        body = cls.execute
        huey = self.huey

        def execute(task: Task) -> Any:
            return huey.run_body(task, body)

        cls.execute = execute
        cls.function = staticmethod(func)
        return cls


def check_options(task: str, settings: dict[str, Any]) -> None:
    """Raises Misconfigured for an option that nobody reads, with the likely spelling."""
    for key, value in settings.items():
        if key in HUEYS:
            continue
        if key not in OPTIONS:
            near = get_close_matches(key, OPTIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise errors.Misconfigured(f"task {task}: there is no option {key!r}{hint}")
        if key == "on_crash" and value not in ("retry", "fail"):
            raise errors.Misconfigured(f"task {task}: on_crash is 'retry' or 'fail', not {value!r}")
