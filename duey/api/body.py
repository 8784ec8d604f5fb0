"""The body of a request: read with a size limit, then decoded strictly.

Checks come in this order: the content type (415), the size (413; first Content-Length, then the bytes received), the
text (400). Bottle's own `request.json` is not used: it is limited to 100 KB, accepts NaN and repeated names, and
raises RecursionError on deep nesting.

Refused with 400, each with its own sentence: text that is not UTF-8 or not JSON, NaN and Infinity (also as 1e999), a
name that occurs twice in an object, integers of more than 1,000 digits, half a surrogate pair, nesting deeper than 50,
more than 100,000 arrays and objects (in a body of more than 1 MB: more than one for every ten bytes).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from duey.api.answer import Refusal
from duey.payload.plain import MAX_HOLDERS, has_odd_number

MAX_DEPTH = 50
MAX_MEMBERS, BYTES_PER_MEMBER = 100_000, 10  # of objects
BYTES_PER_HOLDER = 20  # of arrays and objects, above MAX_HOLDERS
MAX_DIGITS = 1000  # int() takes quadratic time, and only newer Pythons limit it (to 4,300 digits)
DISCONNECTED = "the connection ended before the whole body had arrived: send it again"


class BodyReader:
    """Reads bodies of at most `max_body_kb` KiB."""

    def __init__(self, max_body_kb: int) -> None:
        self.max_body_kb, self.limit = max_body_kb, max_body_kb * 1024

    def read(self, environ: Mapping[str, Any]) -> bytes:
        """Return the raw body, which must be declared as JSON. Raises Refusal 400, 413, 415."""
        declared_type = environ.get("CONTENT_TYPE", "")
        if declared_type != "application/json" and not is_json(declared_type):
            raise Refusal(
                "not-json-type",
                f"expected the header Content-Type: application/json (in UTF-8), found {declared_type[:100]!r}",
            )
        length = environ.get("CONTENT_LENGTH")
        if not length:
            return self._read_open_ended(environ)
        if not (length.isascii() and length.isdigit()):
            raise Refusal("bad-request", f"Content-Length is not a number of bytes: {length[:50]!r}")
        if len(length) > 18 or int(length) > self.limit:
            raise self._too_large()
        return self._read_exactly(environ, int(length))

    def read_optional(self, environ: Mapping[str, Any]) -> bytes:
        """Do the same as `read`, but return b"" for a request without a body, which needs no Content-Type."""
        if environ.get("CONTENT_LENGTH") in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        return self.read(environ)

    def _read_exactly(self, environ: Mapping[str, Any], size: int) -> bytes:
        try:
            stream = environ["wsgi.input"]
            raw: bytes = stream.read(size)
            while len(raw) < size:  # a socket can deliver it in pieces
                piece = stream.read(size - len(raw))
                if not piece:
                    raise Refusal("bad-request", DISCONNECTED)
                raw += piece
            return raw
        except OSError:
            raise Refusal("bad-request", DISCONNECTED) from None

    def _read_open_ended(self, environ: Mapping[str, Any]) -> bytes:
        # Without a length, read only if the server ends the stream itself: otherwise this read would block
        # for ever.
        if not environ.get("wsgi.input_terminated"):
            return b""
        pieces: list[bytes] = []
        size = 0
        try:
            while size <= self.limit:
                piece = environ["wsgi.input"].read(self.limit + 1 - size)
                if not piece:
                    return b"".join(pieces)
                pieces.append(piece)
                size += len(piece)
        except OSError:
            raise Refusal("bad-request", DISCONNECTED) from None
        raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal(
            "too-large",
            f"the body is larger than {self.max_body_kb} KB: send less, or raise [web] max_body_kb",
        )


@lru_cache(maxsize=64)
def is_json(content_type: str) -> bool:
    """Whether a Content-Type is application/json, with the charset UTF-8 or none."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind != "application/json":
        return False
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    return all(charset in ("utf-8", "utf8") for charset in charsets)


def decode(raw: bytes) -> Any:
    """Return the JSON value of a body. Raises Refusal 400."""
    try:
        text = raw.decode("utf-8")
        _check_brackets(raw)
        value = (_decode_closely if has_odd_number(raw) else _decode)(text)
        if b"\\ud" in raw or b"\\uD" in raw:
            # The fastest check of all strings: encoding fails on half of a surrogate pair.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeDecodeError as error:
        raise Refusal("not-json", f"the body is not UTF-8: byte {error.start} cannot be read") from None
    except UnicodeEncodeError:
        raise Refusal("not-json", "the body is not JSON: a string contains half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refusal("not-json", f"the body is not JSON: {error.msg[0].lower()}{error.msg[1:]} at {where}") from None
    except (ValueError, RecursionError) as error:
        raise Refusal("not-json", f"the body cannot be accepted as JSON: {error}") from None


_ESCAPES, _STRINGS = re.compile(rb"\\.", re.DOTALL), re.compile(rb'"[^"]*(?:"|\Z)')
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _check_brackets(raw: bytes) -> None:
    """Raise ValueError if the text is nested deeper than MAX_DEPTH, has too many brackets or unmatched ones, or if its
    objects have too many members.

    Runs before parsing, in linear time and without recursion: it removes the strings, and then the innermost
    level of brackets in each round.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH and raw.count(b":") <= MAX_MEMBERS:
        return
    bare = _STRINGS.sub(b"", _ESCAPES.sub(b"", raw))
    members, most = bare.count(b":"), max(MAX_MEMBERS, len(raw) // BYTES_PER_MEMBER)
    if members > most:
        raise ValueError(f"its objects have {members} members, at most {most} are allowed")
    brackets = bare.translate(_TO_SQUARE, _NO_BRACKETS)
    holders, most = brackets.count(b"["), max(MAX_HOLDERS, len(raw) // BYTES_PER_HOLDER)
    if holders > most:
        raise ValueError(f"it has {holders} arrays and objects, at most {most} are allowed")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels, or its brackets do not match")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"an object names {name[:100]!r} twice")
            seen.add(name)
    return found


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer has {len(digits)} digits, at most {MAX_DIGITS} are allowed")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:50]} is too large")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


# Calling Python for each number dominates the time, so it is done only where a number may be too long or too large.
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode
_decode_closely = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
).decode
