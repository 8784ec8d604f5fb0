"""Text that others wrote, made harmless to show: escaped for HTML, what cannot be seen made visible, and bounded.

Task names, arguments, results, messages and tracebacks all come from outside. A control character (a terminal
escape), a mark that turns the direction of text, a lone surrogate: each is shown as `\\u202e`, so that a page looks
like what it is and can be copied without surprise. Line ends and tabs stay.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff"
)
_SPECIAL, _HIDDEN = re.compile(f"[&<>\"'{_UNSEEN}]"), re.compile(f"[{_UNSEEN}]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


class Html(str):
    """Markup of our own making. Templates write it with `{{!...}}`; all else is escaped."""

    __slots__ = ()


def inert(text: str) -> str:
    """The text for any place in HTML: between tags, or in a quoted attribute."""
    return _SPECIAL.sub(_harmless, text) if _SPECIAL.search(text) else text


def _harmless(match: re.Match[str]) -> str:
    char = match[0]
    if char in _ENTITIES:
        return _ENTITIES[char]
    code = ord(char)
    if char == "\r":
        return "\\r"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def clip(text: str, most: int) -> str:
    """At most `most` characters, with a sign where some are left out."""
    return text if len(text) <= most else text[: most - 1] + "…"


def one_line(text: str, most: int) -> str:
    """The text as one line of at most `most` characters."""
    # What follows could fill a page by itself: only the beginning is looked at.
    return clip(" ".join(text[: most * 4].split()) + ("…" if len(text) > most * 4 else ""), most)


def is_line(text: str) -> bool:
    """Whether a field of one line shows all of it, and gives it back as it is."""
    return "\n" not in text and not _HIDDEN.search(text)


def editable_json(value: Any, indent: int | None = None) -> str:
    """As as_json, with escapes for what cannot be seen: a page shows it as it is, and a form gives it back."""
    return _HIDDEN.sub(lambda match: json.dumps(match[0])[1:-1], as_json(value, indent))


def as_json(value: Any, indent: int | None = None) -> str:
    """A plain value as JSON for people: Unicode as it is, order as it came."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)
