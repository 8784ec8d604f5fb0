"""The display form of a value: JSON for people and other programs. It never raises, and cannot be converted back.

For API and pages, where type tags would confuse. Aware times become RFC 3339 in UTC, naive ones ISO 8601 without a
zone; timedelta becomes an ISO 8601 duration in seconds; Decimal, UUID and Path become text; bytes become `{"bytes":
base64 of the first 64, "size": n}`; tuples and sets a list (sets sorted, so that the result is always the same); an
Enum its value; a dataclass or namedtuple a dict; an exception `{"type", "message"}`; NaN and infinities their names.
Values of unknown types, broken values and values deeper than MAX_DEPTH become a short text.

`bounds` limit the cost: what exceeds them is not read, and a text says how much that is.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import chain, islice
from pathlib import PurePath
from typing import Any, NamedTuple
from uuid import UUID

from huey.utils import Error

from duey.payload.stand_in import StandIn
from duey.payload.types import CarriedError, exception_message, exception_type, is_unicode, printable

MAX_DEPTH = 50
_REPR_CHARS = 200
_BYTES_SHOWN = 64
_INT_BITS = 2000  # longer ones exceed the limits of programs that read the JSON


class Bounds(NamedTuple):
    """How much is shown: the number of scalars and collections in all, and of characters of each text."""

    values: int
    chars: int


WHOLE = Bounds(1_000_000, sys.maxsize)  # limited, because shared references can make a small value very long
JOB = Bounds(10_000, 1_000_000)  # the call of a job
LISTED = Bounds(200, 1_000)  # the call or the result of a job in a list
PAGE = Bounds(10_000, 100_000)
ASKED, SEEN, IN_LIST = (JOB, WHOLE), (PAGE, PAGE), (LISTED, LISTED)  # bounds for a call and for its result
LISTED_BYTES = 65_536  # larger stored calls and results are b"" in a list
LEAST_VALUES = 20  # shown of each argument, however many there are
_TOKEN_CHARS = 500
# Lists and dicts that somebody may send at once: each costs some microseconds in every step that handles it.
MAX_HOLDERS = 50_000
_HOLDERS, _STR = frozenset({list, dict}), frozenset({str})
_PLAIN = _HOLDERS | {type(None), bool, int, float, str}
_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_MORE = "…"
_CUT = re.compile(r"… \d+ more|.*… \(\d+ characters left out\)", re.DOTALL)


def to_plain(value: Any, bounds: Bounds = WHOLE) -> Any:
    """None, bool, int, finite float, valid str, list, or dict with str keys: the value itself where it is that, within
    bounds. Never raises an Exception."""
    return value if is_plain(value, bounds) else _Look(bounds).plain(value, 0)


class Level(NamedTuple):
    """All members of a value that stand equally deep: a look in C at all of them costs a tenth of a look at each."""

    values: Sequence[Any]
    kinds: set[type]
    dicts: list[dict[Any, Any]]

    def of(self, kind: type) -> list[Any]:
        """Those of this type."""
        return [each for each in self.values if type(each) is kind] if kind in self.kinds else []

    def names(self) -> list[Any]:
        """The keys of all dicts."""
        return list(chain.from_iterable(self.dicts))

    def texts(self) -> list[str]:
        """The texts, and the keys that are texts."""
        return self.of(str) + [each for each in self.names() if type(each) is str]


def levels(values: Sequence[Any]) -> Iterator[Level]:
    """These values, their members, and so on. What holds itself never ends."""
    while values:
        level = Level(values, set(map(type, values)), [each for each in values if type(each) is dict])
        yield level
        lists = chain(level.of(list), level.of(tuple))
        values = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, level.dicts))]


def is_plain(value: Any, bounds: Bounds = WHOLE, depth: int = MAX_DEPTH) -> bool:
    """Whether this is exactly what to_plain makes, with nothing to be left out."""
    if type(value) not in _HOLDERS:
        return value is None or value is True or value is False
    left = bounds.values
    for level in levels([value]):
        left, depth = left - len(level.values), depth - 1
        if left < 0 or depth < -1 or not level.kinds <= _PLAIN:
            return False
        ints, keys = level.of(int), level.names()
        if ints and max(max(ints), -min(ints)) >> _INT_BITS > 0:
            return False
        if not (all(map(math.isfinite, level.of(float))) and _STR.issuperset(map(type, keys))):
            return False
        texts = level.of(str) + keys
        if texts and (max(map(len, texts)) > bounds.chars or not is_unicode("".join(texts))):
            return False
    return True


def plain_call(
    args: Sequence[Any], kwargs: Mapping[str, Any], bounds: Bounds = WHOLE
) -> tuple[list[Any], dict[str, Any]]:
    """The display form of a call's arguments, among which the bounds are divided evenly."""
    count = len(args) + len(kwargs)
    each = bounds._replace(values=max(LEAST_VALUES, bounds.values // max(1, count)))
    most = bounds.values // LEAST_VALUES
    placed = [to_plain(value, each) for value in args[:most]]
    if len(args) > most:
        placed.append(f"{_MORE} {len(args) - most} more")
    named = {to_plain(name, each): to_plain(value, each) for name, value in islice(kwargs.items(), most)}
    if len(kwargs) > most:
        named[_MORE] = f"{len(kwargs) - most} more"
    return placed, named


def is_cut(value: Any) -> bool:
    """Whether a display form looks as if something was left out."""
    if isinstance(value, str):
        return _CUT.fullmatch(value) is not None
    if isinstance(value, dict):
        return _MORE in value or any(map(is_cut, value)) or any(map(is_cut, value.values()))
    return isinstance(value, list) and any(map(is_cut, value))


def has_odd_number(data: bytes) -> bool:
    """Whether JSON may hold a number with an exponent or of 300 digits: no other is too large for a float, or slow to
    read. Never wrongly False."""
    alike = data.translate(_DIGITS_ALIKE)
    return b"0e" in alike or b"0" * 300 in alike


class _Look:
    """Converts one value, and counts what it has shown."""

    def __init__(self, bounds: Bounds) -> None:
        self.values_left, self.chars = bounds

    def plain(self, value: Any, depth: int) -> Any:
        self.values_left -= 1
        try:
            if depth > MAX_DEPTH:
                return f"<{type(value).__name__}: too deep to show>"
            return self._known(value, depth)
        except BaseException:  # any method of an author's class may raise anything
            return safe_repr(value)

    def _known(self, value: Any, depth: int) -> Any:
        kind = type(value)  # the commonest types first
        if kind is str:
            return self._text(value)
        if kind is list or kind is tuple:
            return self._list(value, len(value), depth)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Enum):
            return self.plain(value._value_, depth + 1)
        if isinstance(value, str):
            return self._text(str.__str__(value))
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
        if isinstance(value, StandIn):
            return self._known(value.shown(), depth)
        if isinstance(value, Mapping):
            return self._dict(value.items(), len(value), depth)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._dict(zip(value._fields, value, strict=True), len(value), depth)
        if isinstance(value, (list, tuple)):
            return self._list(value, len(value), depth)
        if isinstance(value, (set, frozenset)):
            return sorted(self._list(value, len(value), depth), key=_sort_key)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
            return self._dict(((name, getattr(value, name)) for name in names), len(names), depth)
        return safe_repr(value)

    def _text(self, text: str) -> str:
        return printable(text if len(text) <= self.chars else _cut(text, self.chars))

    def _list(self, items: Iterable[Any], size: int, depth: int) -> list[Any]:
        shown: list[Any] = []
        for item in items:
            if self.values_left <= 0:
                shown.append(f"{_MORE} {size - len(shown)} more")
                break
            shown.append(self.plain(item, depth + 1))
        return shown

    def _dict(self, pairs: Iterable[tuple[Any, Any]], size: int, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for seen, (key, item) in enumerate(pairs):
            if self.values_left <= 0:
                shown[_MORE] = f"{size - seen} more"
                break
            shown[self._key(key)] = self.plain(item, depth + 1)
        return shown

    def _key(self, key: Any) -> str:
        plain = self._text(key) if type(key) is str else self.plain(key, MAX_DEPTH - 1)
        return plain if isinstance(plain, str) else safe_repr(key)


def _cut(text: str, most: int) -> str:
    """The beginning of a text, and how much is missing. It ends between words, or well before `most` characters,
    because a part of a password without the character behind it would not be recognized."""
    end = text.rfind(" ", max(0, most - _TOKEN_CHARS), most)
    kept = text[: end if end > 0 else max(0, most - _TOKEN_CHARS)]
    return f"{kept}{_MORE} ({len(text) - len(kept)} characters left out)"


def safe_repr(value: Any) -> str:
    """A repr of at most 200 characters of valid Unicode. Works even if the repr of the class raises."""
    try:
        text = repr(value)
        return printable(text if len(text) <= _REPR_CHARS else text[: _REPR_CHARS - 1] + "…")
    except BaseException:  # any class may raise anything here
        return f"<{type(value).__name__} without a working repr>"


def _sort_key(plain: Any) -> tuple[str, Any]:
    # Numbers by size, others by their text.
    return type(plain).__name__, plain if type(plain) in (int, float) else str(plain)


def _moment(value: datetime | date | time | timedelta) -> str:
    if isinstance(value, timedelta):
        microseconds = value // timedelta(microseconds=1)
        return f"{'-' if microseconds < 0 else ''}PT{Decimal(abs(microseconds)) / 1_000_000:f}S"
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return value.isoformat()


def quick_encoder(encoder: json.JSONEncoder) -> Callable[[Any], str]:
    """Its `encode`, which creates a new C encoder for each call: half of the cost of a small value."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without the C encoder
        return encoder.encode
    quoted = json.encoder.encode_basestring_ascii if encoder.ensure_ascii else json.encoder.encode_basestring
    write = make(None, encoder.default, quoted, None, ":", ",", False, False, encoder.allow_nan)
    return lambda value: "".join(write(value, 0))
