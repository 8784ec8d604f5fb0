"""The plain form: any value as JSON that a person or another program can read; never fails, never goes back.

For API and pages, where a type tag would only puzzle. Aware times become RFC 3339 in UTC, naive ones ISO
8601 without a zone; timedelta becomes an ISO 8601 duration in seconds; Decimal, UUID and Path text; bytes
`{"bytes": base64 of the first 64, "size": n}`; tuple and set a list (sets sorted, so that two looks agree);
Enum its value; dataclass and namedtuple a dict; exceptions `{"type", "message"}`; NaN and infinities their
names. What is unknown, broken, deeper than MAX_DEPTH or beyond MAX_VALUES shows as a short text.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from huey.utils import Error

from engine.carried import CarriedError, exception_message, exception_type, printable

MAX_DEPTH = 50
MAX_VALUES = 1_000_000  # shared references may make a small value endless to write
_REPR_CHARS = 200
_BYTES_SHOWN = 64
_INT_BITS = 2000  # longer ones trip the digit limits of whoever reads the JSON


def to_plain(value: Any) -> Any:
    """None, bool, int, finite float, valid str, list, or dict with str keys. Never raises an Exception."""
    return _Look().plain(value, 0)


class _Look:
    """One look at one value; counts what it has shown."""

    def __init__(self) -> None:
        self.values_left = MAX_VALUES

    def plain(self, value: Any, depth: int) -> Any:
        self.values_left -= 1
        try:
            if depth > MAX_DEPTH or self.values_left < 0:
                return f"<{type(value).__name__}: too deep or too much to show>"
            return self._known(value, depth)
        except BaseException:  # any method of a stranger's class may raise anything
            return safe_repr(value)

    def _known(self, value: Any, depth: int) -> Any:
        kind = type(value)  # first what nearly all are
        if kind is str:
            return printable(value)
        if kind is list or kind is tuple:
            return [self.plain(item, depth + 1) for item in value]
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Enum):
            return self.plain(value._value_, depth + 1)
        if isinstance(value, str):
            return printable(str.__str__(value))
        if isinstance(value, int):
            bits = int.bit_length(value)
            return int.__index__(value) if bits <= _INT_BITS else f"<int of {bits} bits>"
        if isinstance(value, float):
            number = float.__float__(value)
            return number if math.isfinite(number) else str(number)
        if isinstance(value, (Decimal, UUID, PurePath)):
            return printable(str(value))
        if isinstance(value, (datetime, date, time, timedelta)):
            return _moment(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            shown = bytes(value[:_BYTES_SHOWN])
            return {"bytes": base64.b64encode(shown).decode(), "size": memoryview(value).nbytes}
        if isinstance(value, BaseException):
            if isinstance(value, CarriedError):
                return {"type": printable(value.type), "message": printable(value.message)}
            return {"type": printable(exception_type(value)), "message": exception_message(value)}
        return self._collection(value, depth)

    def _collection(self, value: Any, depth: int) -> Any:
        if isinstance(value, Error):
            return self.plain(value.metadata, depth + 1)
        if isinstance(value, Mapping):
            return {self._key(key): self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            pairs = zip(value._fields, value, strict=True)
            return {self._key(name): self.plain(item, depth + 1) for name, item in pairs}
        if isinstance(value, (list, tuple)):
            return [self.plain(item, depth + 1) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted((self.plain(item, depth + 1) for item in value), key=_sort_key)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
            return {name: self.plain(getattr(value, name), depth + 1) for name in names}
        return safe_repr(value)

    def _key(self, key: Any) -> str:
        plain = self.plain(key, MAX_DEPTH)
        return plain if isinstance(plain, str) else safe_repr(key)


def safe_repr(value: Any) -> str:
    """A repr of at most 200 characters of valid Unicode, also for a class whose repr is broken."""
    try:
        text = repr(value)
        return printable(text if len(text) <= _REPR_CHARS else text[: _REPR_CHARS - 1] + "…")
    except BaseException:  # any class may raise anything here
        return f"<{type(value).__name__} without a working repr>"


def _sort_key(plain: Any) -> tuple[str, Any]:
    # Numbers by size, all others by how they look.
    return type(plain).__name__, plain if type(plain) in (int, float) else str(plain)


def _moment(value: datetime | date | time | timedelta) -> str:
    if isinstance(value, timedelta):
        microseconds = value // timedelta(microseconds=1)
        return f"{'-' if microseconds < 0 else ''}PT{Decimal(abs(microseconds)) / 1_000_000:f}S"
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return value.isoformat()
