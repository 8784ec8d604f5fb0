"""The task options beyond Huey's: names, checks and values.

An unknown option or an invalid value stops the import of the task module with one sentence.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

from duey import errors
from duey.model import limits
from duey.model.job import HANDLED, ONCE
from duey.tasks import unique

INTERNAL = frozenset({"timetable"})  # added by the decorators, read by duey.scheduling.scheduler
SEVERAL = frozenset({"retry_on", "discard_on", "aliases"})
ALERTS = ("each", "group", "never")  # how failures of the task are told (duey.alerts)
Check = Callable[[Any], bool]
MOST_S = 1e10


def is_name(value: Any) -> bool:
    """Whether the value is a valid name of a queue."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value) is not None


def is_number(value: Any, least: float = -1e12, most: float = 1e12) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and least <= float(value) <= most


def is_seconds(value: Any) -> bool:
    return is_number(value, 0, MOST_S) and value > 0


def is_delay(value: Any) -> bool:
    return is_number(value, 0, MOST_S)


def is_expiry(value: Any) -> bool:
    return isinstance(value, (datetime, timedelta)) or is_number(value, -MOST_S, MOST_S)


def is_errors(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(e, type) and issubclass(e, BaseException) for e in value)


def is_url(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"https?://[^\s/?#@]+([/?][!-~]*)?", value) is not None


def is_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(each, str) and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", each) is not None for each in value
    )


def is_accepts(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return callable(value)
    return all(isinstance(old, str) and isinstance(new, str | None) for old, new in value.items())


def one_of(values: Iterable[str]) -> str:
    return " or ".join(repr(value) for value in values)


# Huey's options of a task (there default_NAME) and of a call. Name: (what is expected, check)
HUEYS_OPTIONS: dict[str, tuple[str, Check]] = {
    "retries": ("a whole number from 0", lambda value: isinstance(value, Integral) and is_number(value, 0)),
    "retry_delay": ("seconds from 0", is_delay),
    "retry_backoff": ("a factor from 0", is_delay),
    "priority": ("a number, the higher the sooner", is_number),
    "expires": ("seconds, a timedelta or a datetime", is_expiry),
    "timeout": ("seconds above 0", is_seconds),
}
HUEYS = frozenset({"validate_datetime", *(f"default_{name}" for name in HUEYS_OPTIONS)})
OPTIONS: dict[str, tuple[str, Check]] = {
    "queue": ("the name of the queue that its jobs wait in", is_name),
    "on_crash": (one_of(("retry", "fail")), ("retry", "fail").__contains__),
    "backoff": ("a callable (attempt, error) -> seconds, such as exponential()", callable),
    "retry_on": ("a tuple of exception classes", is_errors),
    "discard_on": ("a tuple of exception classes", is_errors),
    "retry_for": ("seconds", is_seconds),
    "keep_for": ("seconds", is_seconds),
    "max_memory_mb": ("megabytes above 0", lambda value: is_number(value, 0) and value > 0),
    "capture_print": ("True or False", lambda value: isinstance(value, bool)),
    "alert": (one_of(ALERTS), ALERTS.__contains__),
    "ping": (
        "an http:// or https:// URL that is told of each run of a schedule, or None",
        lambda value: value is None or is_url(value),
    ),
    "on_failed": ("a callable (job, error)", callable),
    "limit": ("how many may run at once: a whole number from 1", limits.is_limit),
    "rate": ("(n, seconds), with whole n from 1: how many may start in that time", limits.is_rate),
    "unique": ("True, or seconds", lambda value: isinstance(value, bool) or is_seconds(value)),
    "unique_key": ("a callable that makes a key of the arguments", callable),
    "unique_scope": (one_of(unique.SCOPES), unique.SCOPES.__contains__),
    "unique_conflict": (one_of(unique.CONFLICTS), unique.CONFLICTS.__contains__),
    "aliases": ("a tuple of former names of the task, the oldest first", is_names),
    "accepts": ("a callable (args, kwargs) -> (args, kwargs), or {former name: name or None}", is_accepts),
    "timetable": ("cron(), every(), at(), crontab() or a function of a minute", callable),
}


def read(task: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options with converted values. Raises Misconfigured for an unknown option, with the nearest name, and for an
    invalid value."""
    settings = {name: several(value) if name in SEVERAL else value for name, value in given.items()}
    for name, value in settings.items():
        hueys = name.removeprefix("default_") if name in HUEYS else ""
        if hueys in HUEYS_OPTIONS and value is not None and not HUEYS_OPTIONS[hueys][1](value):
            raise errors.Misconfigured(f"task {task}: {hueys} is {HUEYS_OPTIONS[hueys][0]}, not {value!r:.100}")
        if name in HUEYS or name in INTERNAL:
            continue
        if name not in OPTIONS:
            near = get_close_matches(name, [*OPTIONS, *HUEYS_OPTIONS, "name", "context"], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise errors.Misconfigured(f"task {task}: there is no option {name!r}{hint}")
        expected, fits = OPTIONS[name]
        if not fits(value):
            raise errors.Misconfigured(f"task {task}: {name} is {expected}, not {value!r}")
    both = set(settings.get("retry_on", ())) & set(settings.get("discard_on", ()))
    if both:
        named = ", ".join(sorted(each.__name__ for each in both))
        raise errors.Misconfigured(f"task {task}: {named} cannot be in both retry_on and discard_on")
    return settings


def refuse_parameters(task: str, function: Callable[..., Any], context: bool) -> None:
    """Raise Misconfigured for a periodic task with required parameters, because nothing provides arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return
    try:
        signature.bind(**({"task": None} if context else {}))  # which Huey gives
    except TypeError as exc:
        raise errors.Misconfigured(
            f"periodic task {task}: {exc}: give that parameter a default, or make it a plain task and a schedule with "
            f"arguments for it (duey schedule add NAME {task} ...)"
        ) from None


def check_call(task: str, call: Any) -> None:
    """Raise InvalidArguments for an invalid option of a call."""
    refused = [
        errors.FieldError(name, f"expected {expected}, found {value!r:.100}")
        for name, (expected, fits) in HUEYS_OPTIONS.items()
        if (value := getattr(call, name)) is not None and not fits(value)
    ]
    if refused:
        raise errors.InvalidArguments(task, refused)


def flags_of(settings: dict[str, Any]) -> int:
    """The flags that each job of the task carries."""
    own = (ONCE if settings.get("on_crash") == "fail" else 0) | (HANDLED if "on_failed" in settings else 0)
    return own | unique.flags_of(settings)


def several(value: Any) -> Any:
    """One exception class or name, or a list of them, as a tuple."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, (type, str)) else value
