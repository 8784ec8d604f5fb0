"""Redaction: hides secrets in display values before they are shown or stored in the history.

A value under a key that names a secret becomes `[redacted]`, whatever it is; so does an argument whose
parameter has such a name. A key names a secret when a name stands in it as whole words, in any spelling: `api_key` is
found in `X-Api-Key`, `apiKey` and `my_apikey`, and `token` in `accessToken`, but not in `tokenizer`. A plural counts
too, but not for a number (`max_tokens`), and what only measures a secret is none (`session_count`, `token_expires_at`).
What duey.payload.masking finds is taken out of every text, keys included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from duey.payload.masking import MARKER, MOST_HIDDEN, Mask, Places, hidden_texts, may_give_away
from duey.payload.plain import levels, to_plain

__all__ = ["BUILT_IN", "MARKER", "Mask", "Redactor", "configured"]

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
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum())
_JSON = _LEAVES | {list, tuple, dict}
MAX_DEPTH = 60  # display values are less deep than this

# Between the words of camelCase, and between letters and digits.
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_SEPARATORS = re.compile(r"[\W_]+")
_CACHED_KEY_CHARS = 100
_MANY = 50  # keys that are asked together whether any could name a secret
_KEY_CHARS = 500  # a longer key is looked at from both ends
_ANY, _NO_NUMBER = 1, 2  # what is a secret under a key: anything, or anything but a number


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
        # The same few keys come again and again; long ones are hardly names, and would fill the memory.
        self._kind_cached = lru_cache(maxsize=4096)(self._kind)

    def redact(self, value: Any) -> Any:
        """A plain value without its secrets; what lies deeper than 60 levels is left out."""
        return self._redact(value, 0, [])

    def _may_change(self, value: Any, depth: int) -> bool:
        """Whether a plain value may hold a secret; quick, and never wrongly False."""
        for deeper, level in enumerate(levels([value]), depth):
            text = "\n".join(level.texts())
            if deeper >= MAX_DEPTH or may_give_away(text) or self._mentions(text):
                return True
        return False

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
        hides_all = False
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
            may_be = set(filter(self.is_secret, set(names)))  # those of *args are all one name
            secret = {
                n for n, name in enumerate(names[: len(given)]) if name in may_be and self.is_secret(name, given[n])
            }
            hidden += [to_plain(given[index]) for index in secret]
            more = self._hidden_in([*(each for index, each in enumerate(given) if index not in secret), dict(named)])
            hides_all, hidden = more is None, hidden + (more or [])
        mask = Mask(hidden_texts(hidden), self.text, hides_all)
        return mask.plain(shown), mask.plain(shown_kwargs), mask

    def _hidden_in(self, values: list[Any]) -> list[Any] | None:
        """What is hidden in values, plain or not, looked for level by level: of a hundred thousand keys that name no
        secret each costs next to nothing. None where too many could."""
        hidden: list[Any] = []
        asked: set[str] = set()
        for _ in range(MAX_DEPTH):
            values = [each if type(each) in _JSON else to_plain(each) for each in values]
            level = next(levels(values))
            inner = list(chain(*level.of(list), *level.of(tuple)))
            secretive = self._mentions("".join(each for each in level.names() if type(each) is str))
            if not secretive:
                inner += chain.from_iterable(map(dict.values, level.dicts))
            for each in level.dicts if secretive else ():
                suspects = self._suspects(each)
                asked.update(suspects)
                if len(asked) > MOST_HIDDEN:
                    return None
                names = {key for key in suspects if self.is_secret(key, each[key])}
                hidden += map(each.__getitem__, names)
                inner += [member for key, member in each.items() if key not in names]
            values = [each for each in inner if type(each) not in _LEAVES]
            if not values:
                break
        return list(map(to_plain, hidden))

    def _suspects(self, members: Mapping[Any, Any]) -> list[str]:
        """The keys of which it is worth to ask whether they name a secret."""
        keys = [key for key in members if type(key) is str]
        if len(keys) <= _MANY:
            return keys
        parts = (keys[first : first + _MANY] for first in range(0, len(keys), _MANY))
        return [key for part in parts if self._mentions("".join(part)) for key in part]

    def text(self, text: str) -> str:
        """A text in which secrets are masked by their position."""
        return self._places.masked(text)

    def _mentions(self, text: str) -> bool:
        """Whether a key that stands in the text may name a secret; quick, and never wrongly False."""
        if text.isascii():
            run = text.encode().translate(None, _NO_LETTERS).lower().decode()
        else:
            run = "".join(filter(str.isalnum, text)).casefold()
        return any(hint in run for hint in self._hints)

    def may_hide(self, data: bytes) -> bool:
        """The same of a serialized value, in which only what is no printable ASCII may be escaped."""
        return b"\\u" in data or b"\\x" in data or self._mentions(data.decode(errors="replace"))

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
        if len(value) > _MANY and not self._may_change(value, depth):
            return value
        if isinstance(value, dict):
            secrets = {key for key in self._suspects(value) if self.is_secret(key, value[key])}
            return {
                self.text(key) if isinstance(key, str) else key: (
                    self._hide(member, hidden) if key in secrets else self._redact(member, depth + 1, hidden)
                )
                for key, member in value.items()
            }
        return [self._redact(item, depth + 1, hidden) for item in value]

    def _kind(self, key: str) -> int:
        if not self._mentions(key):
            return 0
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
