"""Reads the form that a browser posts, with limits and strict decoding.

Bottle's own `request.forms` is limited to 100 KB, and an edited argument may be larger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from duey.monitor.web.refusal import Refusal

MAX_FIELDS = 5_000
_BARE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
TYPE = "application/x-www-form-urlencoded"


class Fields:
    """The fields of a form or a query, in their order."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._first: dict[str, str] = {}
        for name, value in pairs:
            self._first.setdefault(name, value)

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a name."""
        return self._first.get(name, default)

    def all(self, name: str) -> list[str]:
        """Return all values of a name."""
        return [value for each, value in self.pairs if each == name]

    def __contains__(self, name: str) -> bool:
        return name in self._first


def query_of(environ: Mapping[str, Any]) -> Fields:
    """Return the fields of the address."""
    return _fields(environ.get("QUERY_STRING", ""))


def form_of(environ: Mapping[str, Any], max_kb: int) -> Fields:
    """Return the fields of the body. Raises Refusal 400, 413 or 415."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind not in ("", TYPE):
        raise Refusal(415, f"expected a form ({TYPE}), found {kind[:100]!r}")
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit() and len(length) < 18):
        raise Refusal(400, f"Content-Length is not a number of bytes: {length[:50]!r}")
    if int(length) > max_kb * 1024:
        raise Refusal(413, f"the form is larger than {max_kb} KB: send less, or raise [web] max_body_kb")
    try:
        raw = environ["wsgi.input"].read(int(length))
        text = raw.decode("ascii")
        if _BARE_PERCENT.search(text):
            raise ValueError
    except (OSError, ValueError):
        raise Refusal(400, "the form did not arrive as a browser sends it: send it again") from None
    return _fields(text)


def _fields(text: str) -> Fields:
    try:
        return Fields(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace"))
    except ValueError:
        raise Refusal(400, f"more than {MAX_FIELDS} fields: send fewer at once") from None
