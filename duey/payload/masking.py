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
from itertools import chain, islice
from typing import Any
from urllib.parse import quote

MARKER = "[redacted]"
LEAST_CHARS = 6  # shorter hidden values would be found in too many words
PAIRS_MAX, HINTS_MAX = 1_000, 10_000  # a text in which more of them stand is left out as a whole
NAME_CHARS = 64  # that are looked at before the word that gives a name away
FEW = 20  # hidden values, each of which is looked for in turn
MOST_HIDDEN = 10_000  # of a job that hides more, no text is shown at all
MOST_LOOKS = 20_000_000  # characters to be searched once more for each value that may stand there

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
_PLAIN = re.compile(r"[\w.~\0-]*", re.A)  # the same in whatever it stands
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")

Names = Callable[[str, bool], bool]  # (name, whether the value is a number): whether such a value is a secret


def may_give_away(text: str) -> bool:
    """Whether a text may hold a secret that no name stands before; quick, and never wrongly False."""
    lower = text.lower()
    return ("@" in text and ":" in text) or "bearer" in lower or "basic" in lower


class Places:
    """Masks secrets by their position in a text. `hints`: every name of a secret contains one of these, in lower
    case."""

    def __init__(self, hints: Sequence[str], names: Names) -> None:
        self._hints, self._names = tuple(hints), names

    def masked(self, text: str) -> str:
        """The text with secrets masked."""
        if "@" in text and ":" in text:
            for pattern in (_URL_PASSWORD, _URL_TOKEN, _USER_AT_HOST):
                text, found = pattern.subn(rf"\1{MARKER}@", text, HINTS_MAX)
                if found == HINTS_MAX:
                    return MARKER
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

    def __init__(self, values: Iterable[str], everywhere: Callable[[str], str], hides_all: bool = False) -> None:
        given = list(dict.fromkeys(islice(values, MOST_HIDDEN + 1)))
        self.hides_all = hides_all or len(given) > MOST_HIDDEN
        self.values = [] if self.hides_all else sorted(_forms(given), key=len, reverse=True)
        self._everywhere = everywhere
        self._starts: dict[tuple[str, ...], list[str]] = {}  # the values by their first characters, where they are many
        for value in self.values[: len(self.values) if len(self.values) > FEW else 0]:
            self._starts.setdefault(tuple(value[:LEAST_CHARS]), []).append(value)

    def joined(self, other: Mask) -> Mask:
        """A mask for the hidden values of both."""
        return Mask((*self.values, *other.values), self._everywhere, self.hides_all or other.hides_all)

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self._everywhere(self._without(text, [MOST_LOOKS]))

    def plain(self, value: Any) -> Any:
        """A copy of a redacted plain value without the hidden values; the value itself where there are none."""
        return self._plain(value, frozenset(self.values), [MOST_LOOKS]) if self else value

    def __bool__(self) -> bool:
        """Whether it hides anything that only this job hides."""
        return bool(self.values) or self.hides_all

    def _plain(self, value: Any, whole: frozenset[str], left: list[int]) -> Any:
        if isinstance(value, str):
            return MARKER if value in whole else self._without(value, left)
        if isinstance(value, dict):
            return {self._without(key, left): self._plain(member, whole, left) for key, member in value.items()}
        if isinstance(value, list):
            return [self._plain(item, whole, left) for item in value]
        if isinstance(value, (int, float)) and str(value) in whole:
            return MARKER
        return value

    def _without(self, text: str, left: list[int]) -> str:
        """The text without the hidden values; no more than `left` is searched for them, all others go as a whole."""
        if len(text) < LEAST_CHARS:
            return text
        if self.hides_all:
            return MARKER
        found: Iterable[str] = self.values
        if self._starts:
            # One pass in C for all values; then only those are looked for whose beginning stands there.
            begun = self._starts.keys() & set(zip(*(text[at:] for at in range(LEAST_CHARS)), strict=False))
            found = sorted(chain.from_iterable(map(self._starts.__getitem__, begun)), key=len, reverse=True)
            left[0] -= len(text) * len(found)
            if left[0] < 0 and found:
                return MARKER
        for value in found:
            text = text.replace(value, MARKER)
        return text


def _forms(values: Sequence[str]) -> set[str]:
    """The values as they may stand in a text: as they are, in a repr, in JSON, in a URL, and line by line."""
    joined = "\0".join(values)
    forms = set(values)
    if _PLAIN.fullmatch(joined):
        return forms
    forms.update(map(str.strip, values), *(value.splitlines() for value in values if "\n" in value))
    forms.update(each[1:-1] for write in (repr, json.dumps) for each in map(write, values))
    quoted = quote(joined, safe="\0", errors="replace")
    forms.update(quoted.split("\0"), quoted.replace("%20", "+").split("\0"))
    return {each for each in forms if len(each) >= LEAST_CHARS}
