"""An answer: a status, a few headers and one JSON value, written to Bottle's response of this request.

Handlers return bytes, which Bottle passes on as they are. Whatever is not plain JSON in a value (a NaN in a
task's result, an object that slipped through) is shown as text: an answer never fails for what it shows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from bottle import response

JSON_TYPE = "application/json"

# Built once: json.dumps with options makes a new encoder for each call.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False, default=str).encode
_ALWAYS = {"Cache-Control": ["no-store"]}


def respond(
    status: int,
    value: Any,
    location: str | None = None,
    content_type: str = JSON_TYPE,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Set status and headers of the present response; return the body. `location` is for its header."""
    respond_bytes(status, content_type, headers)
    if location is not None:
        response.set_header("Location", location)
    return encode(value)


def respond_bytes(status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
    """Set status and headers only, for a body that is not JSON."""
    response.status = status
    common = response.headers.dict  # set_header looks at each name and text again, at 1 µs apiece
    common.update(_ALWAYS)
    common["Content-Type"] = [content_type]
    if headers:
        for name, text in headers.items():
            response.set_header(name, text)


def encode(value: Any) -> bytes:
    """Compact ASCII JSON."""
    try:
        return _encode(value).encode("ascii")
    except ValueError:  # NaN and Infinity are no JSON
        return _encode(_finite(value)).encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value
