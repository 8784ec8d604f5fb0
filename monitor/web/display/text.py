"""Makes text from outside safe to show: escapes HTML, makes invisible characters visible, and limits the length.

Task names, arguments, results, messages and tracebacks come from outside. Control characters (of a terminal), marks
that change the direction of text, and lone surrogates are shown as `\u202e`, so that nothing is hidden in a page or
in copied text. Line ends and tabs are kept.
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
    """Markup made by the monitor. Templates write it with `{{!...}}`; all else is escaped."""

    __slots__ = ()


def inert(text: str) -> str:
    """Return text that is safe anywhere in HTML: between tags, or in a quoted attribute."""
    return _SPECIAL.sub(_harmless, text) if _SPECIAL.search(text) else text


def visible(text: str) -> str:
    """Return text for a plain file: what is invisible is shown, and lines after the first are indented."""
    return _HIDDEN.sub(_harmless, text).replace("\n", "\n    ")


def _harmless(match: re.Match[str]) -> str:
    char = match[0]
    if char in _ENTITIES:
        return _ENTITIES[char]
    code = ord(char)
    if char == "\r":
        return "\\r"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def clip(text: str, most: int) -> str:
    """Return at most `most` characters, with a sign if some are left out."""
    return text if len(text) <= most else text[: most - 1] + "…"


def one_line(text: str, most: int) -> str:
    """Return the text as one line of at most `most` characters."""
    # Only the beginning is read, because the rest may be very long.
    return clip(" ".join(text[: most * 4].split()) + ("…" if len(text) > most * 4 else ""), most)


def is_line(text: str) -> bool:
    """Return whether a one-line field shows the whole text and returns it unchanged."""
    return "\n" not in text and not _HIDDEN.search(text)


def editable_json(value: Any, indent: int | None = None) -> str:
    """Return the same as as_json, with escapes for invisible characters, so that a form returns it unchanged."""
    return _HIDDEN.sub(lambda match: json.dumps(match[0])[1:-1], as_json(value, indent))


def as_json(value: Any, indent: int | None = None) -> str:
    """Return a plain value as JSON for people: Unicode unescaped, order unchanged."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)
