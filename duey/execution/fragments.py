"""A quick test whether a stored result can contain a hidden argument: most jobs then need no mask for their result.

Every form in which a mask looks for a value (as it is, in a repr, in JSON, in a URL) contains each run of plain ASCII
characters of the value. So if a result does not contain such a run, it does not contain the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from duey.payload.masking import LEAST_CHARS

IsSecret = Callable[[Any, Any], bool]  # (name, value)

_run = re.compile(r"[\w.~-]{4,}", re.ASCII).search
_NUMBERS = frozenset({int, float})
_NEVER_HIDDEN = frozenset({bool, type(None)})  # their texts are too short
_NAMELESS = frozenset({bytes, datetime, date, timedelta, Decimal, UUID})  # hold nothing with a name
_TAG = '"!":'  # what stands below it in JSON may be shown differently
_MANY = 50  # members of one argument, or hidden values
_LARGE = 10**18


class _UnsureError(Exception):
    """The test says nothing about these arguments."""


def fragments_of(hidden: Iterable[Any], holders: Iterable[Any], is_secret: IsSecret) -> list[str] | None:
    """A run of each of these hidden values, and of those in `holders` that names hide; None if the test says nothing
    about them."""
    found: list[str] = []
    try:
        for value in hidden:
            if type(value) is str:  # as nearly always
                if len(value) >= LEAST_CHARS:
                    found.append(_run_of(value))
            else:
                _add(value, True, is_secret, found)
        for value in holders:
            _add(value, False, is_secret, found)
    except (_UnsureError, RecursionError):
        return None
    return found


def may_contain(result: bytes, fragments: Iterable[str]) -> bool:
    """Whether a result, serialized as JSON, may contain a hidden value."""
    text = result.decode("latin-1")  # ASCII stays what it is, and a search in text is faster than in bytes
    if _TAG in text:
        return True
    for fragment in fragments:  # noqa: SIM110 (a generator takes as long as the search)
        if fragment in text:
            return True
    return False


def _add(value: Any, hidden: bool, is_secret: IsSecret, found: list[str]) -> None:
    kind = type(value)
    if kind is str:
        if hidden and len(value) >= LEAST_CHARS:
            found.append(_run_of(value))
    elif kind in _NUMBERS:
        if hidden and len(text := _text_of(value)) >= LEAST_CHARS:
            found.append(_run_of(text))
    elif kind in _NEVER_HIDDEN or (kind in _NAMELESS and not hidden):
        return
    elif kind not in (dict, list, tuple) or len(value) > _MANY or len(found) > _MANY:
        raise _UnsureError
    elif kind is dict:
        for name, member in value.items():
            _add(member, hidden or is_secret(name, member), is_secret, found)
    else:
        for member in value:
            _add(member, hidden, is_secret, found)


def _text_of(number: float) -> str:
    if not -_LARGE < number < _LARGE:
        raise _UnsureError
    return str(number)


def _run_of(text: str) -> str:
    if not text.isprintable():  # of several lines a mask looks for each one
        raise _UnsureError
    head = text[:LEAST_CHARS]
    if head.isalnum() and head.isascii():  # as nearly always
        return head
    run = _run(text)
    if run is None:
        raise _UnsureError
    return run[0]
