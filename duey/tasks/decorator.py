"""Decorated functions: Huey's TaskWrapper with Duey's options, and a body whose exceptions are always handled."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable
from typing import Any

from huey.api import Task, TaskWrapper
from huey.exceptions import CancelExecution, RateLimitExceeded, RetryTask

from duey import os_process
from duey.model.ids import new_id
from duey.model.limits import limit_of
from duey.tasks import call_options
from duey.tasks import options as task_options
from duey.tasks.current import as_huey, check_canceled
from duey.tasks.on_failed import SUFFIX, handler_of
from duey.tasks.options import HUEYS
from duey.tasks.renamed import converting
from duey.tasks.retry import policy_of
from duey.tasks.signature import Arity
from duey.tasks.unique import uniqueness_of


class DurableTaskWrapper(TaskWrapper):
    """A decorated function."""

    def create_task(
        self, func: Callable[..., Any], context: bool = False, name: str | None = None, **settings: Any
    ) -> type[Task]:
        self._call_names = call_options.names_for(func)
        self.huey.renamed.refuse_taken(f"{func.__module__}.{name or func.__name__}")
        given = settings = task_options.read(name or func.__name__, settings)
        if "timetable" in given:
            task_options.refuse_parameters(name or func.__name__, func, context)
        policy = policy_of(settings)
        # A plain function as a class attribute would become a method. Huey's validate_datetime must become one.
        settings = {
            key: staticmethod(value) if isinstance(value, types.FunctionType) and key not in HUEYS else value
            for key, value in settings.items()
        }
        cls = super().create_task(func, context, name, **settings)
        body = functools.partial(os_process.call, cls.execute)
        if "accepts" in settings:
            body = functools.partial(converting, body)
        huey = self.huey

        def execute(task: Task) -> Any:
            attempt = task.__dict__.get("attempt_")
            try:
                return body(task) if attempt is None else attempt.run_body(body)
            except (RetryTask, CancelExecution, RateLimitExceeded) as exc:
                own = as_huey(exc)
                if own is exc:
                    raise
                raise own from exc

        def check_timeout(task: Task) -> None:
            check_canceled()  # does nothing outside of a job
            Task.check_timeout(task)  # Huey's own check

        cls.execute, cls.check_timeout = execute, check_timeout
        cls.function = staticmethod(func)
        cls.create_id = staticmethod(new_id)
        cls.policy = policy
        cls.internal = False  # set, because each enqueue reads it and looking up a missing attribute is slow
        cls.job_flags = task_options.flags_of(settings)
        cls.arity = Arity(func, context)
        cls.uniqueness = uniqueness_of(cls.__name__, func, given)
        self._qualname = f"{cls.__module__}.{cls.__name__}"
        aliases = settings.get("aliases", ())
        huey.renamed.add(huey._registry, cls, aliases)
        names = huey.renamed.names(self._qualname)
        cls.key_name = names[1] if aliases else self._qualname  # the oldest: its jobs may hold keys
        limit = limit_of(settings)
        if limit is not None:
            huey.limits |= {each: limit._replace(of="" if each == self._qualname else self._qualname) for each in names}
        if "on_failed" in settings:
            former = [each + SUFFIX for each in names[1:]]
            self._register_handler(func, cls.__name__, settings["on_failed"], former)
        return cls

    def s(self, *args: Any, **kwargs: Any) -> Task:
        """A call to enqueue, chain or group. `queue`, `context` and `unique` may be among the keywords."""
        task: Task
        if not kwargs:  # as Huey's, at half of the cost
            task = self.task_class(args, {})
            return task
        call_values = call_options.take(self._call_names, kwargs)
        call_options.check_delay(kwargs.get("delay"))
        task = super().s(*args, **kwargs)
        task_options.check_call(self._qualname, task)  # also if it becomes a step of a pipeline
        return call_options.label(task, self.task_class.key_name, call_values) if call_values else task

    def schedule(self, args: Any = None, kwargs: Any = None, *positional: Any, **options: Any) -> Any:
        """Huey's `schedule`, with `queue`, `context` and `unique`."""
        call_values = call_options.take(frozenset(call_options.NAMES), options)
        call_options.check_delay(options.get("delay", positional[1] if len(positional) > 1 else None))
        if not call_values:
            return super().schedule(args, kwargs, *positional, **options)
        labelled = copy.copy(self)
        make = self.task_class
        labelled.task_class = lambda *a, **k: call_options.label(make(*a, **k), make.key_name, call_values)
        return TaskWrapper.schedule(labelled, args, kwargs, *positional, **options)

    def _register_handler(self, func: Callable[..., Any], task: str, on_failed: Any, former: list[str]) -> None:
        handler = handler_of(self.huey, task, on_failed)
        handler.__module__ = func.__module__
        made = DurableTaskWrapper(self.huey, handler, name=task + SUFFIX).task_class
        made.internal = True
        self.huey.renamed.add(self.huey._registry, made, former)
