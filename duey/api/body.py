"""The body of a request: read within bounds, then decoded strictly.

First its declared type (415), then its size (413; checked on Content-Length and again on what really
arrives), then its text. Bottle's own `request.json` is not used, because it stops at 100 KB, lets NaN and
repeated names pass, and turns deep nesting into a RecursionError.

What is refused with 400, each in a sentence: no UTF-8, no JSON, NaN and Infinity (also as 1e999), the same
name twice in an object, integers of more than 1,000 digits, half a surrogate pair, nesting deeper than 50, more
than 100,000 arrays and objects (in a body of more than 1 MB: one for every ten bytes).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from duey.api.problem import Refusal
from duey.payload.plain import has_odd_number

MAX_DEPTH = 50
MAX_HOLDERS, BYTES_PER_HOLDER = 100_000, 10  # each costs some microseconds wherever it is looked at
MAX_DIGITS = 1000  # int() takes quadratic time, and refuses more than 4,300 digits in newer Pythons only
DISCONNECTED = "the connection ended before the whole body had arrived: send it again"


class BodyReader:
    """Reads bodies of at most `max_body_kb` KiB."""

    def __init__(self, max_body_kb: int) -> None:
        self.max_body_kb, self.limit = max_body_kb, max_body_kb * 1024

    def read(self, environ: Mapping[str, Any]) -> bytes:
        """The raw body, declared as JSON. Raises Refusal 400, 413, 415."""
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
            raise Refusal("bad-request", f"Content-Length is no number of bytes: {length[:50]!r}")
        if len(length) > 18 or int(length) > self.limit:
            raise self._too_large()
        return self._read_exactly(environ, int(length))

    def read_optional(self, environ: Mapping[str, Any]) -> bytes:
        """As `read`, but a request without a body is b"" and needs no Content-Type."""
        if environ.get("CONTENT_LENGTH") in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        return self.read(environ)

    def _read_exactly(self, environ: Mapping[str, Any], size: int) -> bytes:
        try:
            stream = environ["wsgi.input"]
            raw: bytes = stream.read(size)
            while len(raw) < size:  # a socket may give it in pieces
                piece = stream.read(size - len(raw))
                if not piece:
                    raise Refusal("bad-request", DISCONNECTED)
                raw += piece
            return raw
        except OSError:
            raise Refusal("bad-request", DISCONNECTED) from None

    def _read_open_ended(self, environ: Mapping[str, Any]) -> bytes:
        # Without a length only a server that ends the stream itself may be read to the end;
        # with any other this read would wait for ever.
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
    """Whether a Content-Type says application/json, with no charset or UTF-8."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind != "application/json":
        return False
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    return all(charset in ("utf-8", "utf8") for charset in charsets)


def decode(raw: bytes) -> Any:
    """The JSON value of a body. Raises Refusal 400."""
    try:
        text = raw.decode("utf-8")
        _check_brackets(raw)
        value = (_decode_closely if has_odd_number(raw) else _decode)(text)
        if b"\\ud" in raw or b"\\uD" in raw:
            # The cheapest look at every string: whole pairs are one character now, halves cannot be encoded.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeDecodeError as error:
        raise Refusal("not-json", f"the body is not UTF-8: byte {error.start} cannot be read") from None
    except UnicodeEncodeError:
        raise Refusal("not-json", "the body is not JSON: a string holds half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refusal("not-json", f"the body is not JSON: {error.msg[0].lower()}{error.msg[1:]} at {where}") from None
    except (ValueError, RecursionError) as error:
        raise Refusal("not-json", f"the body cannot be accepted as JSON: {error}") from None


_ESCAPES, _STRINGS = re.compile(rb"\\.", re.DOTALL), re.compile(rb'"[^"]*(?:"|\Z)')
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _check_brackets(raw: bytes) -> None:
    """Raise ValueError where the text nests deeper than MAX_DEPTH, has brackets that do not match (so is no JSON), or
    has too many of them.

    Looked at before parsing, in linear time and without recursion: with strings taken out, each round
    removes the innermost level of brackets.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRINGS.sub(b"", _ESCAPES.sub(b"", raw)).translate(_TO_SQUARE, _NO_BRACKETS)
    holders, most = brackets.count(b"["), max(MAX_HOLDERS, len(raw) // BYTES_PER_HOLDER)
    if holders > most:
        raise ValueError(f"it has {holders} arrays and objects, and {most} are allowed")
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
        raise ValueError(f"an integer has {len(digits)} digits, and {MAX_DIGITS} are allowed")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:50]} is too large")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


# A call in Python for each number takes longer than all else: only where a number may be too long or too large.
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode
_decode_closely = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
).decode
