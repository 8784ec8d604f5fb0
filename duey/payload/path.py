"""The path to a value during encoding, and the message if the value cannot be encoded.

A path is a chain of 4-tuples (path of the container, step from there, the container, number of containers above). It is
built only for values that are no scalars, and becomes text only if something is refused. A step is an int (index), a
str (key), or a 1-tuple of text that is shown as it is: the root, `.field`, ` (a key)`.
"""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, NoReturn
from uuid import UUID

from duey.errors import TooDeepError, UnserializableError
from duey.payload.types import is_registrable

ValuePath = tuple[Any, Any, Any, int]

MAX_DEPTH = 100  # levels of nested collections; a Message's args are the first

STEPS_MAX = MAX_DEPTH - 2  # steps of a pipeline, each nested in the one before; fewer with nested arguments

# The plain type that is suggested for a subclass, the more special first.
_PLAIN = (bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID, PurePath)
_PLAIN_HOLDERS = (list, dict, tuple, set, frozenset)


def path_of(path: ValuePath) -> str:
    """The path as text, such as `args[0].items["x"]`."""
    texts: list[str] = []
    for _, step, _, _ in _upwards(path):
        if type(step) is int:
            texts.append(f"[{step}]")
        else:
            texts.append(step[0] if type(step) is tuple else f"[{json.dumps(step[:60])}]")
    return "".join(reversed(texts)).lstrip(".")


def refuse_depth(path: ValuePath) -> NoReturn:
    """Raise TooDeepError for a value within MAX_DEPTH containers. Names a container that contains itself."""
    steps = list(reversed(_upwards(path)))
    seen: set[int] = set()
    for above, _, holder, _ in steps[1:]:
        if id(holder) in seen:
            raise TooDeepError(path_of(above), f"the {type_name(type(holder))} contains itself: pass it without that")
        seen.add(id(holder))
    near_root = steps[min(2, len(steps) - 1)]
    if path_of(near_root) == "on_complete.on_complete":
        problem = f"a pipeline has at most {STEPS_MAX} steps: let the last one enqueue what follows"
        raise TooDeepError("on_complete", problem)
    raise TooDeepError(path_of(near_root), f"is nested deeper than {MAX_DEPTH} levels: flatten it")


def refuse(value: Any, path: ValuePath) -> NoReturn:
    """Raise UnserializableError for a value of a type that cannot be encoded."""
    kind = type(value)
    if is_registrable(kind):
        advice = "put @register_type above its class"
    elif kind in (bytearray, memoryview):
        advice = "pass bytes(value)"
    elif plain := next((base for base in (*_PLAIN, *_PLAIN_HOLDERS) if issubclass(kind, base)), None):
        advice = f"pass a plain {plain.__name__}, or register a dataclass with @register_type"
    else:
        advice = "pass what it is made of as plain values, or make it a dataclass and register the type"
    raise UnserializableError(path_of(path), f"a value of type {type_name(kind)} cannot be carried as JSON; {advice}")


def type_name(kind: type) -> str:
    """The qualified name of a type, without `builtins`."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def brief(value: Any) -> str:
    """A value in a path or a message: a short scalar itself, others by type."""
    if value is None or type(value) in (bool, float, str) or (type(value) is int and value.bit_length() < 100):
        return f"{value!r:.60}"
    return f"a {type_name(type(value))}"


def _upwards(path: ValuePath) -> list[ValuePath]:
    """The path, then each path above it, up to the root."""
    steps = [path]
    while steps[-1][0] is not None:
        steps.append(steps[-1][0])
    return steps
