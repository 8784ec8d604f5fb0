"""Runs an author's hooks and signal receivers. What they raise is logged and ends neither the job nor the worker.

Huey catches only Exception, so that sys.exit in a hook would end the worker's thread, and it logs to a logger that a
consumer silences. `CancelExecution` from a pre_execute hook cancels the job, as in Huey.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from huey.signals import Signal

from duey import os_process
from duey.execution import error_text
from duey.execution.display import Display
from duey.payload.masking import escaped

logger = logging.getLogger("duey.hooks")


class Receivers(Signal):
    """Huey's signals and their receivers."""

    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    def send(self, signal: str, task: Any, *args: Any, **kwargs: Any) -> None:
        for receiver in itertools.chain(self.receivers.get(signal, ()), self.receivers["any"]):
            try:
                os_process.call(receiver, signal, task, *args, **kwargs)
            except BaseException as exc:
                name = getattr(receiver, "__name__", receiver)
                log_failure(self._display, f"the receiver {name!r} of the signal {signal!r}", exc, task)


def call(
    display: Display, kind: str, hooks: Mapping[str, Callable[..., Any]], *args: Any,
    passing: tuple[type[BaseException], ...] = (),
) -> None:  # fmt: skip
    """Call each hook of a kind. Exceptions in `passing` are raised, all others are logged."""
    for name, hook in list(hooks.items()):
        try:
            os_process.call(hook, *args)
        except passing:
            raise
        except BaseException as exc:
            log_failure(display, f"the {kind} hook {name!r}", exc, *args[:1])


def log_failure(display: Display, what: str, exc: BaseException, task: Any = None) -> None:
    """Log one line and the traceback, without secrets."""
    at = "" if task is None else f" for job {task.id} ({type(task).__module__}.{task.name})"
    mask = display.mask_of(task)
    cause, trace = escaped(error_text.short(exc, mask)), error_text.trace_of(exc, mask)
    logger.error("%s failed%s: %s\n%s", what, at, cause, trace, extra={"many_lines": True})
