"""Answers: write the status, the headers and one JSON value to Bottle's response for the present request.

Handlers return bytes, which Bottle sends unchanged. Values that JSON cannot represent, such as NaN in a task's
result, are written as text, so that an answer never fails because of its content.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from bottle import response

JSON_TYPE = "application/json"

# Built once: json.dumps with options creates a new encoder for each call.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False, default=str).encode
_ALWAYS = {"Cache-Control": ["no-store"]}


def respond(
    status: int,
    value: Any,
    location: str | None = None,
    content_type: str = JSON_TYPE,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Set status and headers of the present response and return its body. `location`: the Location header."""
    respond_bytes(status, content_type, headers)
    if location is not None:
        response.set_header("Location", location)
    return encode(value)


def respond_bytes(status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
    """Set status and headers only. For a body that is not JSON."""
    response.status = status
    common = response.headers.dict  # set_header validates each name and value, which takes 1 µs each
    common.update(_ALWAYS)
    common["Content-Type"] = [content_type]
    if headers:
        for name, text in headers.items():
            response.set_header(name, text)


def encode(value: Any) -> bytes:
    """Return compact JSON in ASCII."""
    try:
        return _encode(value).encode("ascii")
    except ValueError:  # NaN and Infinity are not valid JSON
        return _encode(_finite(value)).encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value
