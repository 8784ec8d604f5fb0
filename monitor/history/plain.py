"""Makes values of an event fit to be stored: text and JSON of limited size, finite numbers.

The values were redacted and cut before; this is a second check. Nothing here raises, whatever the value is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_MAX_INT = 2**63 - 1


def _encoder() -> Callable[[Any], str]:
    """Return a faster _json.encode: that one makes a C encoder for each call, half of the cost of a small value."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without the C encoder
        return _json.encode
    write = make(None, _json.default, json.encoder.encode_basestring, None, ":", ",", False, False, True)
    return lambda value: "".join(write(value, 0))


_encode = _encoder()


def text(value: Any, max_chars: int = 4096) -> str:
    """Return the value as text, cut in the middle if it is too long. Lone surrogates and NUL, which not each database
    can store, are escaped."""
    if type(value) is str and len(value) <= max_chars and value.isascii() and "\0" not in value:  # the usual case
        return value
    made = value if isinstance(value, str) else _shown(value)
    if len(made) > max_chars:
        half = max_chars // 2
        made = f"{made[:half]}\n… {len(made) - 2 * half} characters left out …\n{made[-half:]}"
    return made.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def text_or_none(value: Any, max_chars: int = 4096) -> str | None:
    return None if value is None else text(value, max_chars)


def is_number(value: Any) -> bool:
    """Return whether the value is a finite number."""
    return isinstance(value, (float, int)) and abs(value) < 1e300  # False for NaN


def is_whole(value: Any) -> bool:
    """Return whether the value is an integer of at most 64 bits."""
    return isinstance(value, int) and -_MAX_INT <= value <= _MAX_INT


def number(value: Any, default: float = 0.0) -> float:
    """Return the value as a finite number, or the default."""
    if type(value) is float and is_number(value):  # the usual case
        return value
    try:
        made = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return made if math.isfinite(made) else default


def number_or_none(value: Any) -> float | None:
    if value is None:
        return None
    made = number(value, math.inf)
    return None if made == math.inf else made


def whole(value: Any, default: int = 0) -> int:
    """Return the value as an integer of at most 64 bits, or the default."""
    if isinstance(value, float) and is_number(value):
        value = int(value)
    return int(value) if is_whole(value) else default


def whole_or_none(value: Any) -> int | None:
    return None if value is None else whole(value)


def encode(value: Any, max_chars: int) -> str:
    """Return compact JSON. If it is too long, return the beginning of that JSON as a JSON string."""
    kind = type(value)
    if kind is int and -_MAX_INT <= value <= _MAX_INT:  # a common case
        return str(value)
    try:
        made = _encode(value)
    except (TypeError, ValueError, RecursionError):
        made = _encode(_shown(value))
    if len(made) > max_chars:
        made = _encode(_cut(made, max_chars))
    return text(made, len(made))


def encode_list(value: Any, max_chars: int) -> str:
    """Return JSON that is a list. Any other value becomes the only item of one."""
    made = encode(value, max_chars)
    return made if made[:1] == "[" else f"[{made}]"


def encode_dict(value: Any, max_chars: int) -> str:
    """Return JSON that is an object. Any other value becomes the only item of one, with the key `…`."""
    made = encode(value, max_chars)
    return made if made[:1] == "{" else f'{{"…":{made}}}'


def decode(made: str | None, default: Any = None) -> Any:
    """Return the value that `encode` encoded, or the default if the text is empty or not JSON."""
    if not made:
        return default
    try:
        return json.loads(made)
    except ValueError:
        return default


def _cut(made: str, max_chars: int) -> str:
    # Half of the limit, because encoding it again escapes the quotes.
    return f"{made[: max_chars // 2]}… ({len(made)} characters of JSON)"


def _shown(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
