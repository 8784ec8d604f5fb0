"""A view's data as JSON: frozen values as objects, times in RFC 3339, users' values unchanged."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import datetime, timezone
from typing import Any

INSTANTS = {"at", "eta", "first_seen", "last_seen", "since", "until", "searched_back_to"}
GIVEN = {"args", "kwargs", "result", "context", "progress", "options", "default"}  # keys inside these are the user's

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str).encode


def to_json(data: Any) -> bytes:
    """Return ASCII JSON with a line end, for curl."""
    return (_encode(_plain(data)) + "\n").encode("ascii")


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (int, float)):
        if key in INSTANTS or key.endswith("_at"):
            return _instant(value)
        return value if math.isfinite(value) else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, dict):
        return {str(name): _given(each) if name in GIVEN else _plain(each, str(name)) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, key) for each in value]
    return value


def _given(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(name): _given(each) for name, each in value.items()}
    return [_given(each) for each in value] if isinstance(value, (list, tuple)) else value


def _instant(at: float) -> str | None:
    try:
        return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
