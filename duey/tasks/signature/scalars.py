"""Checks of scalars, and how each is read from a JSON value.

A `Hint` is a compiled type hint: `expected` describes what it accepts, `check` returns the value for the task, or
raises `Refused` with every problem, each with a path relative to the value. A value of the right type is accepted as it
is. Text that stands for one (a date, a UUID, base64 of bytes) is read strictly, in the same way on every version of
Python.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Collection
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from uuid import UUID

from duey.errors import FieldError
from duey.payload.path import MAX_DEPTH
from duey.payload.plain import is_plain
from duey.payload.types import is_unicode
from duey.tasks.signature.refusal import Refused, at_index, at_key, check_each, count_conversion, mismatch

Check = Callable[[Any], Any]


class Hint(NamedTuple):
    """A compiled hint. `likely`: whether an object could be meant for it, without checking its members. `exact`: the
    types of scalars that it accepts as they are, finite and valid Unicode provided."""

    expected: str
    check: Check
    likely: Callable[[Any], bool] | None = None
    exact: frozenset[type] = frozenset()

    def accepts_all(self, values: Collection[Any]) -> bool:
        """Whether it certainly accepts all of these as they are. Fast: no step in Python for each."""
        if not self.exact:
            return False
        if self.check is _check_any:
            return is_plain(list(values), depth=MAX_DEPTH - 1)
        kinds = set(map(type, values))
        return (
            kinds <= self.exact
            and (float not in kinds or all(math.isfinite(each) for each in values if type(each) is float))
            and (str not in kinds or is_unicode("".join([each for each in values if type(each) is str])))
        )


# Any value, if it can be stored.


_SOUND, _HOLDERS = frozenset({type(None), bool, int}), frozenset({list, tuple, dict})


def _check_any(value: Any) -> Any:
    kind = type(value)
    if kind in _SOUND or (kind is str and value.isascii()):
        return value
    return value if is_plain(value, depth=MAX_DEPTH - 1) else _look_closely(value, 0)


def _look_closely(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        if not is_unicode(value):
            raise mismatch("valid Unicode", value)
    elif kind is float:
        if not math.isfinite(value):
            raise mismatch("a finite number", value)
    elif kind in _HOLDERS:
        if depth >= MAX_DEPTH:
            raise Refused([FieldError("", f"is nested deeper than {MAX_DEPTH} levels: pass it flatter")])
        check = partial(_look_closely, depth=depth + 1)
        if kind is dict:
            check_each(((key, key, check) for key in value), at_key)
            check_each(((key, member, check) for key, member in value.items()), at_key)
        elif not _SOUND.issuperset(map(type, value)):
            check_each(((index, item, check) for index, item in enumerate(value)), at_index)
    return value


ANY = Hint("any value", _check_any, exact=_SOUND | {float, str})


# JSON's own scalars.


def _check_null(value: Any) -> None:
    if value is not None:
        raise mismatch("null", value)


def _check_bool(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise mismatch("true or false", value)


def _check_int(value: Any) -> Any:
    if type(value) is int or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise mismatch("an integer", value)


def _check_float(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise mismatch("a number", value)


def _check_str(value: Any) -> Any:
    if isinstance(value, str) and (value.isascii() or is_unicode(value)):
        return value
    raise mismatch("text", value)


# Types that JSON represents as text or number.


def _read_by(kind: type, expected: str, read: Callable[[Any], Any]) -> Hint:
    """A hint whose value is converted by `read`, which returns None or raises ValueError or ArithmeticError if it
    cannot."""

    def check(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        count_conversion()
        try:
            made = read(value) if type(value) in (str, int, float) else None
        except (ValueError, ArithmeticError):
            made = None
        if made is None:
            raise mismatch(expected, value)
        return made

    return Hint(expected, check)


_DATE = r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
_CLOCK = (
    r"([0-9]{2}:[0-9]{2})(?:(:[0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:([Zz])|([+-][0-9]{2}):?([0-9]{2})?(:[0-9]{2})?)?"
)
_AMOUNT = r"([+-]?[0-9]{1,18}(?:[.,][0-9]{1,18})?)"
_DATE_ONLY, _TIME, _DATETIME = re.compile(_DATE), re.compile(_CLOCK), re.compile(_DATE + "[Tt ]" + _CLOCK)
_DURATION = re.compile(
    rf"([+-]?)P(?:{_AMOUNT}W)?(?:{_AMOUNT}D)?(?:T(?=.)(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?"
)
_UNIT_S = (604_800, 86_400, 3_600, 60, 1)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){4}[0-9a-fA-F]{8}")


def _clock(match: re.Match[str], first: int) -> str:
    """The time of day in the form that fromisoformat reads on every version of Python."""
    minutes, seconds, fraction, zulu, hours, rest, odd = match.groups()[first:]
    offset = "+00:00" if zulu else f"{hours}:{rest or '00'}{odd or ''}" if hours else ""
    return f"{minutes}{seconds or ':00'}.{(fraction or '')[:6]:0<6}{offset}"


def _read_date(value: Any) -> date | None:
    return date.fromisoformat(value) if type(value) is str and _DATE_ONLY.fullmatch(value) else None


def _read_time(value: Any) -> time | None:
    match = _TIME.fullmatch(value) if type(value) is str else None
    return match and time.fromisoformat(_clock(match, 0))


def _read_datetime(value: Any) -> datetime | None:
    match = _DATETIME.fullmatch(value) if type(value) is str else None
    return match and datetime.fromisoformat(f"{match[1]}T{_clock(match, 1)}")


def _read_timedelta(value: Any) -> timedelta | None:
    if type(value) is not str:
        return timedelta(seconds=value)
    match = _DURATION.fullmatch(value)
    if match is None or not any(match.groups()[1:]):
        return None
    amounts = (Decimal((amount or "0").replace(",", ".")) for amount in match.groups()[1:])
    total_s = sum(amount * unit for amount, unit in zip(amounts, _UNIT_S, strict=True))
    return timedelta(microseconds=round(total_s * 1_000_000)) * (-1 if match[1] == "-" else 1)


def _read_decimal(value: Any) -> Decimal | None:
    if type(value) is float:  # through its shortest text, so that 0.1 stays 0.1
        return Decimal(repr(value)) if math.isfinite(value) else None
    return Decimal(value) if type(value) is int or _DECIMAL.fullmatch(value) else None


def _read_uuid(value: Any) -> UUID | None:
    return UUID(value) if type(value) is str and _UUID.fullmatch(value) else None


def _read_bytes(value: Any) -> bytes | None:
    return base64.b64decode(value, validate=True) if type(value) is str else None


def path_hint(kind: type[PurePath]) -> Hint:
    """A path, from its text."""

    def read(value: Any) -> PurePath | None:
        # No file system accepts a zero character, but Python raises only when the file is opened.
        return kind(value) if type(value) is str and is_unicode(value) and "\0" not in value else None

    return _read_by(kind, "the path of a file or folder", read)


LEAVES: dict[type, Hint] = {
    type(None): Hint("null", _check_null, exact=frozenset({type(None)})),
    bool: Hint("true or false", _check_bool, exact=frozenset({bool})),
    int: Hint("an integer", _check_int, exact=frozenset({int})),
    float: Hint("a number", _check_float, exact=frozenset({float})),
    str: Hint("text", _check_str, exact=frozenset({str})),
    bytes: _read_by(bytes, "bytes as base64 text", _read_bytes),
    date: _read_by(date, 'a date like "2030-01-31"', _read_date),
    time: _read_by(time, 'a time of day like "10:30:00"', _read_time),
    datetime: _read_by(datetime, 'a date and time like "2030-01-31T10:30:00Z"', _read_datetime),
    timedelta: _read_by(timedelta, 'a duration in seconds or like "PT90S" or "P1DT2H"', _read_timedelta),
    Decimal: _read_by(Decimal, "a decimal number", _read_decimal),
    UUID: _read_by(UUID, 'a UUID like "123e4567-e89b-12d3-a456-426614174000"', _read_uuid),
    Path: path_hint(Path),
}
