"""Refusals: all problems of one value, as sentences with paths.

A check raises `Refused` with paths relative to its value (`[3].name`, or "" for the value itself). Each containing
check adds its own step in front, and the signature adds `args[0]` or `kwargs.to`. Values are shown safely: truncated,
quoted, with invisible characters escaped, and never with the members of a collection.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from duey.errors import FieldError
from duey.payload.path import type_name
from duey.payload.types import is_unicode

MAX_PROBLEMS = 50  # listed at most
MAX_CONVERSIONS = 20_000  # in one call: each takes some 10 µs, when it is enqueued and whenever its job is read
_SHOWN_CHARS = 60


class Refused(Exception):
    """A value that its hint refuses. Holds all problems, with paths relative to the value such as `[3].name`."""

    def __init__(self, problems: list[FieldError]) -> None:
        self.problems = problems

    def below(self, step: str) -> list[FieldError]:
        """The problems with `step` in front of their paths."""
        return [FieldError(step + problem.path, problem.message) for problem in self.problems]


class TooManyConversions(Exception):
    """A call holds more than MAX_CONVERSIONS values that are no JSON values."""


class _Conversions(threading.local):
    """How many more values of the call that is checked in this thread may be converted."""

    left = MAX_CONVERSIONS


conversions = _Conversions()


def count_conversion() -> None:
    """Note that a value is converted. Raises TooManyConversions."""
    conversions.left -= 1
    if conversions.left < 0:
        raise TooManyConversions


def mismatch(expected: str, value: Any) -> Refused:
    """The refusal of a value as a whole."""
    return Refused([FieldError("", f"expected {expected}, found {found(value)}")])


def check_each(members: Iterable[tuple[Any, Any, Callable[[Any], Any]]], where: Callable[[Any], str]) -> list[Any]:
    """Check the members (step, value, check) of a collection; `where` makes a step text.

    Raises: Refused with the problems of all members.
    """
    checked: list[Any] = []
    problems: list[FieldError] = []
    for step, value, check in members:
        try:
            checked.append(check(value))
        except Refused as refused:
            problems += refused.below(where(step))
            if len(problems) > MAX_PROBLEMS:
                break
    if problems:
        raise Refused(problems)
    return checked


def at_index(index: int) -> str:
    """The step to an item of a list."""
    return f"[{index}]"


def at_key(key: Any) -> str:
    """The step to a value of a dict, as in `["x"]`."""
    return f"[{quoted(key) if isinstance(key, str) else found(key)}]"


def at_field(name: Any) -> str:
    """The step to a named field, as in `.x`."""
    plain = isinstance(name, str) and name.isidentifier() and len(name) <= _SHOWN_CHARS
    return f".{name}" if plain else at_key(name)


def nearest(name: Any, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known name, or the advice to leave it out."""
    by_folded = {each.casefold(): each for each in known}
    near = get_close_matches(name[:_SHOWN_CHARS].casefold(), by_folded, n=1) if isinstance(name, str) else []
    return f"; did you mean {by_folded[near[0]]}?" if near else ": leave it out"


def found(value: Any) -> str:
    """A value in a sentence: a scalar itself, at most 60 characters; others by type and size."""
    if type(value) is float and not math.isfinite(value):
        return f"{value}, which JSON does not have"
    if type(value) is int or type(value) is float:
        return f"the number {shown(value)}"
    if isinstance(value, str):
        return f"the text {quoted(value)}" if is_unicode(value) else "text with half of a surrogate pair"
    if value is None or isinstance(value, bool):
        return shown(value)
    if type(value) is list or type(value) is tuple:
        return f"a list of {len(value)}" if value else "an empty list"
    if type(value) is dict:
        return f"an object of {len(value)} field{'s'[: len(value) != 1]}" if value else "an empty object"
    return f"a value of the type {type_name(type(value))}"


def shown(value: Any) -> str:
    """A scalar as JSON, at most 60 characters; others by type."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) is int:
        return str(value) if value.bit_length() < 190 else "of more than 55 digits"
    if type(value) is float:
        return repr(value)
    return quoted(value) if isinstance(value, str) else found(value)


def quoted(text: str) -> str:
    """At most 60 characters of a text in quotes, with invisible characters escaped."""
    seen = "".join(map(_visible, text[:_SHOWN_CHARS]))
    if len(text) > _SHOWN_CHARS or len(seen) > _SHOWN_CHARS:
        seen = seen[: _SHOWN_CHARS - 1] + "…"
    return f'"{seen}"'


def _visible(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() else char.encode("unicode_escape").decode()
