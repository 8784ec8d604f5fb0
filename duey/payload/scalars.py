"""Tagged values that contain no others: for each the tag, how it is encoded and how it is decoded.

Tags: b bytes (base64), dt datetime, da date, ti time, td timedelta ([days, seconds, microseconds]), dec Decimal, uuid,
p Path, pp PurePosixPath, skip Huey's SKIPPED; i an int too long for programs that read JSON (hex). Decoding raises
UndecodableError or whatever the type's constructor raises; duey.payload.decode makes one message of both.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from huey.utils import SKIPPED

from duey.errors import UndecodableError, UnserializableError
from duey.payload.path import ValuePath, path_of, type_name
from duey.payload.types import expect

# An IANA key. Without dots, because zoneinfo looks for it in the tzdata package and must find nothing else there.
_ZONE_KEY = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


class Leaf(NamedTuple):
    """`write` returns the content of the tag and may refuse a value. `read` accepts any stored content."""

    tag: str
    write: Callable[[Any, ValuePath], Any]
    read: Callable[[Any], Any]


def valid_text(value: str, path: ValuePath) -> str:
    """The text, if it can be encoded as UTF-8. Raises UnserializableError."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise UnserializableError(
            path_of(path),
            f"the text is not valid Unicode (lone surrogate U+{code:04X} at {error.start}): pass bytes",
        ) from None
    return value


def _write_moment(value: Any, path: ValuePath) -> Any:
    """ISO text of a datetime or time, or [ISO text, fold, zone] if the text alone is not enough."""
    zone = value.tzinfo
    if zone is None or type(zone) is timezone:
        text = value.isoformat()
        return [text, 1, None] if value.fold else text
    key = getattr(zone, "key", None)
    if type(zone) is not ZoneInfo or key is None or not _ZONE_KEY.fullmatch(key):
        raise UnserializableError(
            path_of(path),
            f"its time zone is a {type_name(type(zone))}: use zoneinfo.ZoneInfo(name) or datetime.timezone",
        )
    return [value.replace(tzinfo=None).isoformat(), value.fold, key]


def _read_moment(cls: Any) -> Callable[[Any], Any]:
    def read(content: Any) -> Any:
        if type(content) is str:
            return cls.fromisoformat(content)
        text, fold, key = expect(content, list)
        value = cls.fromisoformat(expect(text, str)).replace(fold=expect(fold, int))
        if key is None:
            return value
        if not _ZONE_KEY.fullmatch(expect(key, str)):
            raise UndecodableError(f"expected a time zone, found {key!r:.60}")
        return value.replace(tzinfo=ZoneInfo(key))

    return read


def _read_timedelta(content: Any) -> timedelta:
    days, seconds, microseconds = (expect(part, int) for part in expect(content, list))
    return timedelta(days, seconds, microseconds)


def _read_skipped(content: Any) -> Any:
    expect(content, type(None))
    return SKIPPED


def _from_text(make: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda content: make(expect(content, str))


LEAVES: dict[type, Leaf] = {
    datetime: Leaf("dt", _write_moment, _read_moment(datetime)),
    bytes: Leaf(
        "b",
        lambda value, path: base64.b64encode(value).decode(),
        _from_text(lambda text: base64.b64decode(text, validate=True)),
    ),
    date: Leaf("da", lambda value, path: value.isoformat(), _from_text(date.fromisoformat)),
    time: Leaf("ti", _write_moment, _read_moment(time)),
    timedelta: Leaf("td", lambda value, path: [value.days, value.seconds, value.microseconds], _read_timedelta),
    Decimal: Leaf("dec", lambda value, path: str(value), _from_text(Decimal)),
    UUID: Leaf("uuid", lambda value, path: value.hex, _from_text(UUID)),
    type(Path()): Leaf("p", lambda value, path: valid_text(str(value), path), _from_text(Path)),
    PurePosixPath: Leaf("pp", lambda value, path: valid_text(str(value), path), _from_text(PurePosixPath)),
    type(SKIPPED): Leaf("skip", lambda value, path: None, _read_skipped),
}

LONG_INT = Leaf("i", lambda value, path: hex(value), _from_text(lambda text: int(text, 16)))
