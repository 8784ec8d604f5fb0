"""Makes texts safe to show: masks secrets and escapes control characters.

Two kinds of secrets are masked: the hidden values of a job (`Mask`), and values whose position in a text shows that
they are secrets (`Places`): the user information of a URL, and the value in `NAME=value`, `NAME: value` and `Bearer
value`, where NAME names a secret. The time is linear in the length of the text.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

MARKER = "[redacted]"
LEAST_CHARS = 6  # shorter hidden values would be found within too many words
PAIRS_MAX, HINTS_MAX = 1_000, 10_000  # a text with more of them is hidden as a whole
NAME_CHARS = 64  # characters of a name that are examined before the word that indicates a secret
FULL_LOOKS = 200_000  # comparisons for one value; above that only whole texts are compared

# Greedy up to the last @ before a slash, because people put @ into passwords without escaping it.
_URL_PASSWORD = re.compile(r"(://[^\s/?#:]*:)[^\s/?#]*@")
_URL_TOKEN = re.compile(r"(://)[\w.~+%-]{20,}@")  # a long user name alone is a token
_NO_USERS = "mailto|to|from|cc|bcc|by|sips?|xmpp|e?mail|user|author|contact|reply-to|sender|recipient"
_USER_AT_HOST = re.compile(
    rf"(?<![\w.+/:@-])((?!(?:{_NO_USERS}):)[\w.+-]{{1,64}}:)[^\s/@:\"'\[\]<>]{{1,256}}@(?=[a-z])(?!sha)", re.I
)
_HEADER = re.compile(r"(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookie)(\s{0,3}:\s{0,3})[^\s\"'][^\r\n\"']*", re.I)
_BEARER = re.compile(r"\b(bearer|basic)(\s{1,3})(?=[\w~+/.=-]*[\d=])[\w~+/.=-]{8,}", re.I)
_REST = re.compile(r"[\w-]*")  # the rest of a name
_SIGN = re.compile(r"\\?[\"']?\]?\s{0,3}(?:=>|=(?!=)|:(?![:=]|//))\s{0,3}")
_VALUE = re.compile(
    r"(?:[bru]{0,2}\"(?:[^\"\\]|\\.)*(?:\"|$))|(?:[bru]{0,2}'(?:[^'\\]|\\.)*(?:'|$))|(?:\\([\"'])[^\"'\\]*(?:\\\1)?)|"
    r"(?:(?:bearer|basic|digest|token)\s{1,3}[^\s\"'&<>,;]+)|(?:[^\s\"'&<>]*[^\s\"'&<>)\]},;.:])",
    re.I | re.S,
)
_SAYS_NOTHING = frozenset({"none", "null", "true", "false", "str", "bytes", '""', "''"})
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")

Names = Callable[[str, bool], bool]  # (name, whether the value is a number): whether such a value is a secret


class Places:
    """Masks secrets by their position in a text. `hints`: every name of a secret contains one of these, in lower
    case."""

    def __init__(self, hints: Sequence[str], names: Names) -> None:
        self._hints, self._names = tuple(hints), names

    def masked(self, text: str) -> str:
        """The text with secrets masked."""
        if "@" in text and ":" in text:
            text = _URL_TOKEN.sub(rf"\1{MARKER}@", _URL_PASSWORD.sub(rf"\1{MARKER}@", text))
            text = _USER_AT_HOST.sub(rf"\1{MARKER}@", text)
        if "=" not in text and ":" not in text and " " not in text:
            return text
        lower = text.lower()
        if "bearer" in lower or "basic" in lower:
            text = _BEARER.sub(rf"\1\2{MARKER}", text)
        if not any(hint in lower for hint in self._hints):
            return text
        if "authorization" in lower or "cookie" in lower:
            text = _HEADER.sub(lambda m: f"{m[1]}{m[2]}{MARKER}" if self._names(m[1], False) else m[0], text)
        return self._without_pairs(text)

    def _without_pairs(self, text: str) -> str:
        kept: list[str] = []
        done = looked = 0
        found = self._found(text.replace("İ", "I").lower())  # the only letter that becomes two in lower case
        if len(found) > HINTS_MAX:
            return MARKER
        for at in found:
            if at < looked:
                continue
            looked = end = _REST.match(text, at).end()  # type: ignore[union-attr]
            sign = _SIGN.match(text, end)
            value = sign and _VALUE.match(text, sign.end())
            if not (sign and value) or value[0].startswith(MARKER[:-1]) or value[0].lower() in _SAYS_NOTHING:
                continue
            if self._names(text[_start_of(text, at) : end], bool(_NUMBER.fullmatch(value[0]))):
                quote = next((each for each in ('\\"', "\\'", '"', "'") if value[0].startswith(each)), "")
                kept += (text[done : sign.end()], quote, MARKER, quote)
                done = looked = value.end()
                if len(kept) > 4 * PAIRS_MAX:
                    return MARKER
        return "".join([*kept, text[done:]]) if kept else text

    def _found(self, lower: str) -> list[int]:
        """The positions of the hints, in order."""
        found: list[int] = []
        for hint in self._hints:
            at = lower.find(hint)
            while at >= 0:
                found.append(at)
                at = lower.find(hint, at + len(hint))
            if len(found) > HINTS_MAX:
                break
        return sorted(found)


def _start_of(text: str, at: int) -> int:
    """The beginning of the name that contains this position."""
    first = max(0, at - NAME_CHARS)
    while at > first and (text[at - 1].isalnum() or text[at - 1] in "_-"):
        at -= 1
    return at


def escaped(text: str) -> str:
    """The text on one line, with line ends, control characters and bidirectional marks escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def hidden_texts(value: Any) -> Iterable[str]:
    """The texts and numbers in a hidden value (in its display form) that are long enough to be masked elsewhere."""
    if isinstance(value, dict):
        if value.keys() == {"bytes", "size"} and isinstance(value["bytes"], str):  # the display form of bytes
            yield base64.b64decode(value["bytes"]).decode("utf-8", "replace")
        for member in value.values():
            yield from hidden_texts(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from hidden_texts(member)
    elif isinstance(value, str) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        text = str(value)
        if len(text) >= LEAST_CHARS:
            yield text


class Mask:
    """Masks the hidden values of one job in texts and values. `everywhere`: masks secrets by their position."""

    def __init__(self, values: Iterable[str], everywhere: Callable[[str], str]) -> None:
        found = {form for value in values for form in _forms(value) if len(form) >= LEAST_CHARS}
        self.values = sorted(found, key=len, reverse=True)
        self._everywhere = everywhere

    def joined(self, other: Mask) -> Mask:
        """A mask for the hidden values of both."""
        return Mask((*self.values, *other.values), self._everywhere)

    def text(self, text: str) -> str:
        """The text with secrets masked."""
        for value in self.values:
            if value in text:
                text = text.replace(value, MARKER)
        return self._everywhere(text)

    def plain(self, value: Any) -> Any:
        """A copy of a redacted value with the hidden values masked; the value itself if there are none."""
        if not self.values:
            return value
        self._looks, self._whole = 0, frozenset(self.values)
        return self._plain(value)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._found(value)
        if isinstance(value, dict):
            return {self._found(key): self._plain(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        if isinstance(value, (int, float)) and str(value) in self._whole:
            return MARKER
        return value

    def _found(self, text: str) -> str:
        if len(text) < LEAST_CHARS:
            return text
        self._looks += len(self.values)
        if self._looks > FULL_LOOKS:
            return MARKER if text in self._whole else text
        for value in self.values:
            if value in text:
                text = text.replace(value, MARKER)
        return text


def _forms(value: str) -> Iterable[str]:
    """The forms in which a value may occur in a text: itself, in a repr, in JSON, in a URL, and line by line."""
    yield from (value, value.strip(), repr(value)[1:-1], json.dumps(value)[1:-1])
    yield from (quote(value, safe="", errors="replace"), quote_plus(value, errors="replace"))
    if "\n" in value:
        yield from value.splitlines()
