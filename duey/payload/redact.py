"""Redaction: hides secrets in display values before they are shown or stored in the history.

A value under a key that names a secret becomes `[redacted]`, and so does an argument whose parameter has such a name. A
key names a secret if it contains one of the names as whole words, in any spelling: `api_key` is found in `X-Api-Key`,
`apiKey` and `my_apikey`, and `token` in `accessToken`, but not in `tokenizer`. A plural counts too, but not for a
number (`max_tokens`), and neither do names of measures (`session_count`, `token_expires_at`). In addition the secrets
that duey.payload.masking finds are masked in every text, including keys.

`clip` then truncates large values, so that their JSON (compact, UTF-8) fits, and says what was left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from duey.payload.masking import MARKER, Mask, Places, hidden_texts
from duey.payload.plain import to_plain

__all__ = ["BUILT_IN", "MARKER", "Mask", "Redactor", "clip", "configured", "json_bytes"]

# In addition to the names of [monitor] redact.
BUILT_IN = (
    "pwd", "passwd", "passphrase", "passcode", "credential", "private_key", "access_key", "cookie", "session", "bearer",
    "jwt", "otp", "pgpassword",
)  # fmt: skip
# Words after the name of a secret that make it the name of a measure or a time.
_MEASURES = frozenset((
    "count", "counts", "size", "length", "limit", "limits", "max", "min", "timeout", "ttl", "expires", "expiry",
    "hours", "days", "minutes", "seconds", "s", "ms",
))  # fmt: skip
TOO_DEEP = "[nested too deeply to be shown]"
_LEAVES = frozenset({type(None), bool, int, float, str})
_JSON = _LEAVES | {list, tuple, dict}
MAX_DEPTH = 60  # display values are less deep than this

# Between the words of camelCase, and between letters and digits.
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_SEPARATORS = re.compile(r"[\W_]+")
_CACHED_KEY_CHARS = 100
_MANY = 50  # for more keys it is worth checking first whether any of them could name a secret
_KEY_CHARS = 500  # of a longer key only the beginning and the end are examined
_ANY, _NO_NUMBER = 1, 2  # what is a secret under a key: any value, or any value except a number


def configured(names: Iterable[str]) -> Redactor:
    """The redactor for `[monitor] redact`: these names and the built-in ones, except those that are given as
    `-name`."""
    given = [*names, *BUILT_IN]
    shown = {"".join(_words(name)) for name in given if name.startswith("-")}
    return Redactor([name for name in given if "".join(_words(name)) not in shown])


class Redactor:
    """Hides values under keys that contain one of `names`. Can be shared between threads."""

    def __init__(self, names: Sequence[str]) -> None:
        words = [found for name in names if (found := _words(name))]
        self._names = frozenset(map("".join, words))
        self._plurals = frozenset(f"{name}s" for name in self._names) - self._names
        self._longest = max(map(len, self._names), default=0) + 1
        hints = sorted({found[0] for found in words})
        self._hints = hints
        self._places = Places(hints, self._named)
        self._bytes = [form for hint in hints for form in {hint.encode(), json.dumps(hint)[1:-1].encode()}]
        # A cache for keys, which repeat. Long ones are rarely names, and would fill the memory.
        self._kind_cached = lru_cache(maxsize=4096)(self._kind)

    def redact(self, value: Any) -> Any:
        """A copy of a display value without secrets. What is deeper than 60 levels is left out."""
        return self._redact(value, 0, [])

    def redact_call(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        names: Sequence[str],
        context: Mapping[str, Any] | None = None,
        whole: tuple[Sequence[Any], Mapping[str, Any]] | None = None,
    ) -> tuple[list[Any], dict[str, Any], Mask]:
        """Copies of a call's arguments without secrets, and the mask for other texts that are made from the job.
        `names`: the parameters of `args`, in order. `whole`: the complete call if `args` and `kwargs` were truncated,
        because the parts that were left out may contain hidden values as well."""
        hidden: list[Any] = []
        shown = [
            self._hide(value, hidden) if index < len(names) and self.is_secret(names[index], value)
            else self._redact(value, 1, hidden)
            for index, value in enumerate(args)
        ]  # fmt: skip
        shown_kwargs = self._redact(dict(kwargs), 0, hidden)
        if context:
            self._redact(context, 0, hidden)
        if whole is not None:
            given, named = whole
            secret = [self.is_secret(name, value) for name, value in zip(names, given, strict=False)]
            hidden += [to_plain(value) for value, is_secret in zip(given, secret, strict=False) if is_secret]
            hidden += self._hidden_in(
                [*(value for value, is_secret in zip(given, secret, strict=False) if not is_secret), dict(named)]
            )
        mask = Mask(hidden_texts(hidden), self.text)
        return mask.plain(shown), mask.plain(shown_kwargs), mask

    def _hidden_in(self, level: list[Any]) -> list[Any]:
        """The hidden values within values of any kind. It works level by level, so that a hundred thousand keys that
        name no secret cost almost nothing."""
        hidden: list[Any] = []
        for _ in range(MAX_DEPTH):
            level = [each if type(each) in _JSON else to_plain(each) for each in level]
            dicts = [each for each in level if type(each) is dict]
            if not self._mentions(chain.from_iterable(dicts)):
                inner = list(chain.from_iterable(each.values() for each in dicts))
            else:
                inner = []
                for key, member in chain.from_iterable(each.items() for each in dicts):
                    (hidden if self.is_secret(key, member) else inner).append(member)
            inner += chain.from_iterable(each for each in level if type(each) is list or type(each) is tuple)
            level = [each for each in inner if type(each) not in _LEAVES]
            if not level:
                break
        return list(map(to_plain, hidden))

    def text(self, text: str) -> str:
        """A text in which secrets are masked by their position."""
        return self._places.masked(text)

    def _mentions(self, keys: Iterable[Any]) -> bool:
        """Whether one of the keys may name a secret. Fast, and never wrongly False."""
        run = _SEPARATORS.sub("", "".join(key for key in keys if type(key) is str)).casefold()
        return any(hint in run for hint in self._hints)

    def may_hide(self, data: bytes) -> bool:
        """Whether a serialized value can contain a key that names a secret. Fast, and never wrongly False."""
        data = data.lower()
        return any(hint in data for hint in self._bytes)

    def is_secret(self, key: Any, value: Any = None) -> bool:
        """Whether the value under a key, or of a parameter, is a secret."""
        return isinstance(key, str) and self._named(key, isinstance(value, (int, float)))

    def _named(self, key: str, number: bool) -> bool:
        kind = self._kind_cached(key) if len(key) <= _CACHED_KEY_CHARS else self._kind(key)
        return kind == _ANY or (kind == _NO_NUMBER and not number)

    @staticmethod
    def _hide(value: Any, hidden: list[Any]) -> str:
        hidden.append(value)
        return MARKER

    def _redact(self, value: Any, depth: int, hidden: list[Any]) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, (dict, list, tuple)):
            return value
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        if isinstance(value, dict):
            if len(value) > _MANY and not self._mentions(value):
                return {self.text(str(key)): self._redact(member, depth + 1, hidden) for key, member in value.items()}
            return {
                self.text(key) if isinstance(key, str) else key: (
                    self._hide(member, hidden)
                    if self.is_secret(key, member)
                    else self._redact(member, depth + 1, hidden)
                )
                for key, member in value.items()
            }
        return [self._redact(item, depth + 1, hidden) for item in value]

    def _kind(self, key: str) -> int:
        words = _words(key if len(key) <= 2 * _KEY_CHARS else f"{key[:_KEY_CHARS]} {key[-_KEY_CHARS:]}")
        found = 0
        for first in range(len(words)):
            run = ""
            for after, word in enumerate(words[first : first + self._longest], first + 1):
                run += word
                if (run in self._names or run in self._plurals) and _MEASURES.isdisjoint(words[after:]):
                    if run in self._names:
                        return _ANY
                    found = _NO_NUMBER
                if len(run) >= self._longest:
                    break
        return found


def _words(key: str) -> list[str]:
    """The words of a key: x, api, key, 2 for `X-ApiKey2`."""
    parts = _SEPARATORS.split(key)
    return [word.casefold() for part in parts for word in _HUMP.split(part) if word]


# Truncation.

_LEAST_BYTES = 24
_EIGHTH = 8  # a truncated member with less than this part of its container's bytes is left out
_MORE = "…"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def clip(value: Any, max_bytes: int) -> tuple[Any, bool]:
    """The value, truncated so that its JSON has at most `max_bytes` (2 or more), and whether it was truncated.

    Truncated texts end with `…` and the number of characters that were left out, lists and objects with the number of
    members. The bytes are divided so that small members stay complete. The value itself is not changed, and is
    converted to its display form first if necessary.
    """
    clipped = False
    try:
        size = json_bytes(value)
    except (TypeError, ValueError, RecursionError):
        value, clipped = to_plain(value), True
        size = json_bytes(value)
    if size <= max_bytes:
        return value, clipped
    try:
        return _cut(value, max(max_bytes, 2)), True
    except RecursionError:  # too deep for Python, though not for the C encoder
        return _cut(to_plain(value), max(max_bytes, 2)), True


def json_bytes(value: Any) -> int:
    """The size of a display value as compact JSON in UTF-8, in bytes."""
    text = _encode(value)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _cut(value: Any, room: int) -> Any:
    """The value, truncated to at most `room` bytes (2 or more)."""
    if json_bytes(value) <= room:
        return value
    if isinstance(value, str):
        return _cut_text(value, room)
    if isinstance(value, (list, tuple)):
        return _cut_list(value, room)
    if isinstance(value, dict):
        return _cut_dict(value, room)
    return _cut_text(_encode(value), room)


def _cut_text(text: str, room: int) -> str:
    ending = f"{_MORE} ({len(text)} characters left out)"
    if json_bytes(ending) > room:
        ending = _MORE if json_bytes(_MORE) <= room else ""
        return text[: _fitting_chars(text, room - json_bytes(ending))] + ending
    fits = _fitting_chars(text, room - json_bytes(ending))
    return f"{text[:fits]}{_MORE} ({len(text) - fits} characters left out)"


def _fitting_chars(text: str, room: int) -> int:
    """How many characters fit into `room` bytes of JSON, without the quotes."""
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        if json_bytes(text[:middle]) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _cut_list(items: Sequence[Any], room: int) -> list[Any]:
    marker = f"{_MORE} {len(items)} more"
    rooms = _share([(1, item) for item in items[:room]], len(items), room - 2, json_bytes(marker) + 1)
    cut = [_cut(item, item_room) for item, item_room in zip(items, rooms, strict=False)]
    left_out = len(items) - len(cut)
    if left_out and json_bytes(cut) + json_bytes(marker) + 1 <= room:
        cut.append(f"{_MORE} {left_out} more")
    return cut


def _cut_dict(members: dict[str, Any], room: int) -> dict[str, Any]:
    marker = {_MORE: f"{len(members)} more"}
    key_room = max(_LEAST_BYTES, room // 4)
    entries = [(_cut(key, key_room), member) for key, member in islice(members.items(), room)]
    costs = [(json_bytes({key: 0}) - 2, member) for key, member in entries]
    rooms = _share(costs, len(members), room - 2, json_bytes(marker))
    cut: dict[str, Any] = {}
    for (key, member), member_room in zip(entries, rooms, strict=False):
        cut.setdefault(key, _cut(member, member_room))  # truncated keys may be equal
    left_out = len(members) - len(cut)
    if left_out and json_bytes(cut) + json_bytes(marker) <= room:
        cut[_MORE] = f"{left_out} more"
    return cut


def _share(members: Sequence[tuple[int, Any]], count: int, room: int, marker_bytes: int) -> list[int]:
    """The bytes for the value of each member that is kept: the first ones of `count`.

    A member is (bytes around the value, for comma and key; the value).
    """
    least_each = max(_LEAST_BYTES, room // _EIGHTH)
    sizes: list[int] = []
    least: list[int] = []
    free = room
    for overhead, member in members:
        size = json_bytes(member)
        free -= overhead + min(size, least_each)
        if free < 0:
            free += overhead + min(size, least_each)
            break
        sizes.append(size)
        least.append(overhead + min(size, least_each))
    if len(sizes) < count:
        free -= marker_bytes
        while least and free < 0:
            free += least.pop()
    rooms = [min(size, least_each) for size in sizes[: len(least)]]
    # The smallest first, so that the bytes that they do not need go to the larger ones.
    for done, index in enumerate(sorted(range(len(rooms)), key=sizes.__getitem__)):
        more = min(sizes[index] - rooms[index], max(free, 0) // (len(rooms) - done))
        rooms[index] += more
        free -= more
    return rooms
