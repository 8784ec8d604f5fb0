"""What the decorators make of a function: Huey's TaskWrapper with Dewey's options and a body that cannot get away."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from huey.api import Task, TaskWrapper

from engine import task_options
from engine.exhaustion import SUFFIX, handler_of
from engine.ids import new_id
from engine.limits import limit_of
from engine.policy import policy_of
from engine.task_options import HUEYS
from engine.uniqueness import uniqueness_of


class DurableTaskWrapper(TaskWrapper):
    """A decorated function."""

    def create_task(
        self, func: Callable[..., Any], context: bool = False, name: str | None = None, **settings: Any
    ) -> type[Task]:
        given = settings = task_options.read(name or func.__name__, settings)
        policy = policy_of(settings)
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
        cls.create_id = staticmethod(new_id)
        cls.policy = policy
        cls.job_flags = task_options.flags_of(settings)
        cls.uniqueness = uniqueness_of(cls.__name__, func, given)
        limit = limit_of(settings)
        if limit is not None:
            huey.limits[f"{cls.__module__}.{cls.__name__}"] = limit
        if "on_failed" in settings:
            self._register_handler(func, cls.__name__, settings["on_failed"])
        return cls

    def _register_handler(self, func: Callable[..., Any], task: str, on_failed: Any) -> None:
        handler = handler_of(self.huey, task, on_failed)
        handler.__module__ = func.__module__
        DurableTaskWrapper(self.huey, handler, name=task + SUFFIX)
