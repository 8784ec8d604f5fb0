"""The options of a single call: queue, context, unique.

    add(1, 2, queue="slow", context={"user": "ana"}, unique="today")

As with Huey's options (delay, eta, priority, retries, expires ...) such a keyword is an option of the call, unless the
function has a parameter of that name.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from huey.api import Task

from duey import errors
from duey.tasks.options import MOST_S, is_name, is_number

NAMES = ("queue", "context", "unique")
CONTEXT_MAX = 8 * 1024  # bytes; it is copied to every child job, event and log line


def names_for(function: Callable[..., Any]) -> frozenset[str]:
    """The names of options that calls of this function may use."""
    try:
        own = inspect.signature(function).parameters
    except (TypeError, ValueError):
        own = {}  # type: ignore[assignment]
    return frozenset(name for name in NAMES if name not in own)


def take(names: frozenset[str], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Remove the options from the keyword arguments and return them."""
    return {name: kwargs.pop(name) for name in names & kwargs.keys()}


def check_delay(value: Any) -> None:
    """Raise BadRequest for an invalid delay. A negative one is valid: the job is due at once."""
    if not (value is None or isinstance(value, timedelta) or is_number(value, -MOST_S, MOST_S)):
        raise errors.BadRequest(f"delay is a number of seconds or a timedelta, not {value!r:.100}")


def label(task: Task, qualname: str, options: Mapping[str, Any]) -> Task:
    """Set the options on the task. Raises BadRequest for invalid ones."""
    queue, context, unique = (options.get(name) for name in NAMES)
    if queue is not None:
        if not is_name(queue):
            raise errors.BadRequest(f"queue is a name of up to 64 letters, digits, _ . or -, not {queue!r:.100}")
        task.queue = queue
    if context is not None:
        task.job_context = context_text(context)
    if unique is not None:
        if not (isinstance(unique, str) and unique):
            raise errors.BadRequest(f"unique is a key in text, not {unique!r:.100}")
        task.unique_value = f"{qualname}:{unique}"
    return task


def context_text(context: Any) -> str:
    """A context as JSON text. Raises BadRequest."""
    if not isinstance(context, Mapping):
        raise errors.BadRequest(f"context is a dict, such as {{'user': 'ana'}}, not {context!r:.100}")
    try:
        text = json.dumps(dict(context))
    except (TypeError, ValueError) as exc:
        raise errors.BadRequest(f"context is made of plain JSON values ({exc})") from None
    if len(text) > CONTEXT_MAX:
        raise errors.BadRequest(
            f"context has at most {CONTEXT_MAX} bytes, this one {len(text)}: pass a reference to the rest"
        )
    return text


def inherited(own: str | None, above: str | None) -> str | None:
    """The context of a job that another job enqueues: `above`, that of the other job, updated with its own."""
    if own is None or above is None:
        return own or above
    return json.dumps({**json.loads(above), **json.loads(own)})
