"""The fields of a request: each has its attribute in JobRequest, its check, and its schema for openapi.json.

A check takes a decoded JSON value and returns the engine's value, or raises ValueError with a sentence: what was
expected, what was found. Checks compare classes by identity, because isinstance accepts true as a number.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

TEN_YEARS_S = 10 * 365 * 86_400
LATE_ETA_S = 60  # an eta this far in the past means now: clocks differ, and a request takes time
CONTEXT_BYTES = 4096
RESERVED_IDS = ("batch",)  # GET /api/jobs/batch is a path of its own

NAME_PATTERN = r"[A-Za-z0-9_.-]{1,64}"
ID_PATTERN = r"[A-Za-z0-9_.:-]{1,64}"
_NAME, _ID = re.compile(NAME_PATTERN), re.compile(ID_PATTERN)
_ETA = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,12})?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))?"
)


class Field(NamedTuple):
    """One field of a request."""

    attribute: str
    check: Callable[[Any], Any]
    schema: Mapping[str, Any]


def found(value: Any) -> str:
    """Return a short description of a value for an error message."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else f"text of {len(value)} characters"
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    if isinstance(value, dict):
        return "an object"
    if value is None or value is True or value is False:
        return json.dumps(value)
    text = str(value)
    return text if len(text) <= 40 else f"a number of {len(text)} digits"


def _array(value: Any) -> list[Any]:
    if value.__class__ is not list:
        raise ValueError(f"expected an array, found {found(value)}")
    array: list[Any] = value
    return array


def _object(value: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise ValueError(f"expected an object, found {found(value)}")
    an_object: dict[str, Any] = value
    return an_object


def _context(value: Any) -> dict[str, Any]:
    context = _object(value)
    size = len(json.dumps(context, ensure_ascii=False, separators=(",", ":")).encode())
    if size > CONTEXT_BYTES:
        raise ValueError(f"expected at most {CONTEXT_BYTES} bytes of JSON, found {size}")
    return context


def _id(value: Any) -> str:
    if value.__class__ is not str or not _ID.fullmatch(value) or value in RESERVED_IDS:
        raise ValueError(f"expected 1 to 64 of A-Z a-z 0-9 _ . : - (and not batch), found {found(value)}")
    return str(value)


def _queue(value: Any) -> str:
    if value.__class__ is not str or not _NAME.fullmatch(value):
        raise ValueError(f"expected 1 to 64 of A-Z a-z 0-9 _ . -, found {found(value)}")
    return str(value)


def _retries(value: Any) -> int:
    # 3.0 is an integer in JSON Schema, and in languages with a single number type.
    if value.__class__ not in (int, float) or not 0 <= value <= 100 or value != int(value):
        raise ValueError(f"expected a whole number from 0 to 100, found {found(value)}")
    return int(value)


def _expires(value: Any) -> float:
    if value.__class__ not in (int, float) or not 0 < value <= TEN_YEARS_S:
        raise ValueError(f"expected a number of seconds above 0 and up to ten years, found {found(value)}")
    return float(value)


def instant(value: Any) -> float:
    """Return an RFC 3339 time with a zone as epoch seconds. Raises ValueError."""
    match = _ETA.fullmatch(value) if value.__class__ is str else None
    if match is None:
        raise ValueError(f"expected a time such as 2030-01-01T00:00:00Z, found {found(value)}")
    return _epoch(value, match)


def _eta(value: Any) -> float | None:
    """Return epoch seconds, or None (which means now) for a time that has just passed."""
    at = instant(value)
    ahead = at - time.time()
    if ahead < -LATE_ETA_S:
        raise ValueError(f"expected a time to come, found {value!r}, which has passed")
    if ahead > TEN_YEARS_S:
        raise ValueError(f"expected a time within ten years, found {value!r}")
    return None if ahead <= 0 else at


def _epoch(text: str, match: re.Match[str]) -> float:
    *whole, fraction, zulu, sign, offset_h, offset_min = match.groups()
    if zulu is None and sign is None:
        raise ValueError(f"expected a zone at its end, Z or such as +02:00, found {text!r}")
    year, month, day, hour, minute, second = map(int, whole)
    leap_s = 1 if second == 60 else 0  # RFC 3339 allows leap seconds, datetime does not
    offset = timedelta(hours=int(offset_h or 0), minutes=int(offset_min or 0))
    try:
        if int(offset_min or 0) > 59:
            raise ValueError
        zone = timezone(-offset if sign == "-" else offset)
        at = datetime(year, month, day, hour, minute, second - leap_s, tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"expected a time that is in the calendar, found {text!r}") from None
    return at + leap_s + float(fraction or 0)


def text(attribute: str, chars: int, description: str) -> Field:
    """Return a field for text of 1 to `chars` characters."""

    def check(value: Any) -> str:
        if value.__class__ is not str or not 1 <= len(value) <= chars:
            raise ValueError(f"expected text of 1 to {chars} characters, found {found(value)}")
        return str(value)

    schema = {"type": "string", "minLength": 1, "maxLength": chars, "description": description}
    return Field(attribute, check, schema)


def number(attribute: str, low: float, high: float, description: str) -> Field:
    """Return a field for a number from `low` to `high`."""

    def check(value: Any) -> float:
        if value.__class__ not in (int, float) or not low <= value <= high:
            raise ValueError(f"expected a number from {low:.10g} to {high:.10g}, found {found(value)}")
        return float(value)

    return Field(attribute, check, {"type": "number", "minimum": low, "maximum": high, "description": description})


FIELDS: dict[str, Field] = {
    "task": text("task", 200, "its name, or module.name where two tasks share it"),
    "args": Field("args", _array, {"type": "array", "default": []}),
    "kwargs": Field("kwargs", _object, {"type": "object", "default": {}}),
    "id": Field("id", _id, {
        "type": "string", "pattern": f"^{ID_PATTERN}$", "not": {"enum": list(RESERVED_IDS)},
        "description": "an id of your own; the same id again changes nothing while its job has not ended",
    }),
    "delay": number("delay_s", 0, TEN_YEARS_S, "seconds; not together with eta"),
    "eta": Field("eta", _eta, {
        "type": "string", "format": "date-time", "description": "with a zone, at most ten years ahead",
    }),
    "priority": number("priority", -1e6, 1e6, "higher runs first"),
    "queue": Field("queue", _queue, {"type": "string", "pattern": f"^{NAME_PATTERN}$", "default": "default"}),
    "retries": Field("retries", _retries, {"type": "integer", "minimum": 0, "maximum": 100}),
    "expires": Field("expires_s", _expires, {
        "type": "number", "exclusiveMinimum": 0, "maximum": TEN_YEARS_S,
        "description": "seconds from now after which it is not started any more",
    }),
    "unique": text("unique", 200, "one unfinished job holds this key; another is answered 200 with it"),
    "context": Field("context", _context, {
        "type": "object", "description": f"travels with the job; at most {CONTEXT_BYTES} bytes of JSON",
    }),
}  # fmt: skip

ARGUMENTS: dict[str, Field] = {name: FIELDS[name] for name in ("args", "kwargs")}
