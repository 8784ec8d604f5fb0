"""Reads stored values for their display form without running an author's code.

A constructor, or the function that a pickle names, may sleep, raise or do worse, and whoever shows a job (pages, API,
history) must not wait for it. Instances of an author's classes are read as StandIn, which holds what is stored of them.
duey.payload.plain shows it like the instance.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from pathlib import PosixPath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from huey.registry import Message
from huey.utils import Error

from duey.payload.types import CarriedError


class StandIn:
    """In place of an instance, or of what a function would return. `args` of the call that would make it; `state` is
    what would then be set."""

    names: tuple[str, ...] = ()  # of the fields that `args` are, if that is known

    def __new__(cls, /, *args: Any, **kwargs: Any) -> StandIn:
        made = super().__new__(cls)
        made.args, made.state, made.items = args, kwargs, []
        return made

    args: tuple[Any, ...]
    state: Any
    items: list[Any]  # of a list, set or dict with a class of its own

    def __call__(self, *args: Any) -> StandIn:
        return StandIn(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        self.items.append(item)

    add = append

    def extend(self, items: list[Any]) -> None:
        self.items += items

    def __setitem__(self, key: Any, item: Any) -> None:
        self.items.append((key, item))

    def shown(self) -> Any:
        """What is stored: a dict of the fields, or else the arguments."""
        states = self.state if isinstance(self.state, tuple) else (self.state,)
        fields: dict[Any, Any] = {}
        for state in states:
            if isinstance(state, dict):
                fields |= state.get("__dict__") or state
            elif isinstance(state, list) and len(state) == len(self.names):
                fields |= zip(self.names, state, strict=True)
        if len(self.args) == len(self.names):
            fields |= zip(self.names, self.args, strict=True)
        if fields or not (self.items or self.args):
            return fields
        return self.items or (self.args[0] if len(self.args) == 1 else list(self.args))

    def __repr__(self) -> str:
        shown = self.shown()
        inner = ", ".join(f"{name}={value!r}" for name, value in shown.items()) if type(shown) is dict else repr(shown)
        return f"{type(self).__name__}({inner})"


@lru_cache(maxsize=1000)
def stand_in(module: str, name: str) -> type[StandIn]:
    """The class of stand-ins for what has this name. It is not imported; names of its fields are looked up if it is."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    known = vars(found) if isinstance(found, type) else {}
    return type(name, (StandIn,), {"names": tuple(known.get("_fields") or known.get("__dataclass_fields__") or ())})


def _attribute(of: Any, name: str) -> Any:
    """In place of getattr, by which members of an Enum and class methods are pickled."""
    return ZoneInfo._unpickle if of is ZoneInfo and name == "_unpickle" else StandIn(name)  # type: ignore[attr-defined]


_HARMLESS: dict[tuple[str, str], Callable[..., Any]] = {
    (cls.__module__, cls.__qualname__): cls
    for cls in (
        set,
        frozenset,
        complex,
        OrderedDict,
        defaultdict,
        deque,
        date,
        datetime,
        time,
        timedelta,
        timezone,
        Decimal,
        UUID,
        SafeUUID,
        PurePosixPath,
        PosixPath,
        PureWindowsPath,
        Message,
        Error,
        CarriedError,
    )
} | {("zoneinfo", "ZoneInfo"): ZoneInfo, ("builtins", "getattr"): _attribute}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _HARMLESS.get((module, name)) or stand_in(module, name)


def read_pickle(data: bytes) -> Any:
    """The value of a pickle, with stand-ins. Raises whatever a damaged pickle raises."""
    return _Reader(io.BytesIO(data)).load()
