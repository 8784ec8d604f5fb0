"""What pydantic refuses, as sentences with paths: every problem of a value at once, bounded in number.

A sentence follows from the type of an error, which pydantic keeps stable, and says what was expected and what was
found. Values are shown safely: truncated, quoted, with invisible characters escaped, and never with the members of a
collection. A path is made by walking the value along an error's `loc`: steps that are not in the value, such as the
members of a union, are left out.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from duey.errors import FieldError
from duey.payload.path import MAX_DEPTH, type_name
from duey.payload.plain import is_plain
from duey.payload.types import exception_message, is_unicode

MAX_PROBLEMS = 50  # listed at most
_MOST_ERRORS = 5_000  # of one value; pydantic takes some 4 µs and 1 kB to tell each
_SHOWN_CHARS = 60
_JSON_TYPES = frozenset({type(None), bool, int, float, str, list, dict, tuple, set, frozenset})
_HOLDERS = frozenset({list, dict, tuple, set, frozenset})
MAX_CONVERSIONS = 20_000  # in one call: each takes some 10 µs, when it is enqueued and whenever its job is read
TOO_MANY = (
    f"expected at most {MAX_CONVERSIONS} dates, durations, UUIDs, paths, objects and the like in one call, found more: "
    "pass a file or another reference to them"
)

_LIST, _OBJECT = "a list", "an object"
_DATE, _TIME = 'a date like "2030-01-31"', 'a time of day like "10:30:00"'
_DATETIME, _DURATION = (
    'a date and time like "2030-01-31T10:30:00Z"',
    'a duration in seconds or like "PT90S" or "P1DT2H"',
)
_DECIMAL, _UUID = "a decimal number", 'a UUID like "123e4567-e89b-12d3-a456-426614174000"'
EXPECTED = {
    "none_required": "null", "bool_type": "true or false", "bool_parsing": "true or false",
    "int_type": "an integer", "int_from_float": "an integer", "int_parsing": "an integer",
    "int_parsing_size": "an integer of fewer digits", "float_type": "a number", "float_parsing": "a number",
    "finite_number": "a finite number", "string_type": "text", "string_sub_type": "text",
    "string_unicode": "valid Unicode", "bytes_type": "bytes as base64 text", "bytes_invalid_encoding":
    "bytes as base64 text", "list_type": _LIST, "tuple_type": _LIST, "set_type": _LIST, "frozen_set_type": _LIST,
    "iterable_type": _LIST, "dict_type": _OBJECT, "mapping_type": _OBJECT, "dataclass_type": _OBJECT,
    "dataclass_exact_type": _OBJECT,
    "model_type": _OBJECT, "named_tuple_type": "a list or an object", "date_type": _DATE, "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE, "date_from_datetime_inexact": _DATE, "time_type": _TIME,
    "time_parsing": _TIME, "datetime_type": _DATETIME, "datetime_parsing": _DATETIME,
    "datetime_from_date_parsing": _DATETIME, "datetime_object_invalid": _DATETIME, "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION, "decimal_type": _DECIMAL, "decimal_parsing": _DECIMAL, "uuid_type": _UUID,
    "uuid_parsing": _UUID, "path_type": "the path of a file or folder", "enum": "{expected}",
    "literal_error": "{expected}", "greater_than": "a value above {gt}", "greater_than_equal": "at least {ge}",
    "less_than": "a value below {lt}", "less_than_equal": "at most {le}", "multiple_of": "a multiple of {multiple_of}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters", "string_pattern_mismatch": "text like {pattern}",
    "too_short": "at least {min_length} items", "too_long": "at most {max_length} items",
    "set_item_not_hashable": "a hashable value", "is_instance_of": "a Python value of the type {class}",
    "timezone_aware": "a time with its zone", "timezone_naive": "a time without a zone",
}  # fmt: skip


class Refused(Exception):
    """A value that its hint refuses: all problems, with paths relative to the value."""

    def __init__(self, problems: list[FieldError]) -> None:
        self.problems = problems

    def below(self, path: str) -> list[FieldError]:
        """The problems with the path of the value in front of theirs."""
        return [FieldError(path + each.path, each.message) for each in self.problems]


def problems_of(error: ValidationError, value: Any, root: str = "", known: Iterable[str] = ()) -> list[FieldError]:
    """All problems of a value, at most MAX_PROBLEMS. `root`: its path; `known`: the names that its fields may have."""
    count = error.error_count()
    if count > _MOST_ERRORS:
        return [FieldError(root, f"{count:,} values in it are refused: compare it with the hint and correct it")]
    listed: dict[str, list[ErrorDetails]] = {}
    aside = set()  # paths of unions: an error of another member further down says more
    for each in error.errors(include_url=False):
        path, whole = _path(each, value)
        listed.setdefault(path, []).append(each)
        if not whole:
            aside.add(path)
    kept = [path for path in listed if not (path in aside and any(o != path and o.startswith(path) for o in listed))]
    return bounded([FieldError(root + path, _sentence(listed[path], known)) for path in kept[: MAX_PROBLEMS + 1]])


def bounded(problems: list[FieldError]) -> list[FieldError]:
    """The first MAX_PROBLEMS; the last of them says that there are more."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    last = problems[MAX_PROBLEMS - 1]
    sentence = f"{last.message} (there are more problems than the {MAX_PROBLEMS} that are listed)"
    return [*problems[: MAX_PROBLEMS - 1], FieldError(last.path, sentence)]


def _path(error: ErrorDetails, value: Any) -> tuple[str, bool]:
    """The path of an error, and whether every step of its `loc` is in it."""
    path, steps = "", error["loc"]
    whole = True
    for n, step in enumerate(steps):
        if isinstance(value, (list, tuple)) and isinstance(step, int) and step < len(value):
            path, value = f"{path}[{step}]", value[step]
        elif isinstance(value, dict) and step in value:
            path, value = path + at_field(step), value[step]
        elif step == "[key]":
            path += " (a key)"
        elif n == len(steps) - 1 and error["type"] in ("missing", "missing_argument"):
            path += at_field(step) if isinstance(step, str) else f"[{step}]"
        else:
            whole = False
    return path, whole


def _sentence(errors: list[ErrorDetails], known: Iterable[str]) -> str:
    first = errors[0]
    kind, context = first["type"], first.get("ctx", {})
    if kind in ("missing", "missing_argument"):
        return "expected a value, found nothing: add it"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"no such field{nearest(first['loc'][-1], known)}"
    if kind in ("value_error", "assertion_error"):  # an author's own check
        return f"it is refused: {exception_message(context['error'])[:200]}"
    expected = [_expected(each) for each in errors if each["type"] in EXPECTED]
    if not expected:
        text = first["msg"].removeprefix("Input should be").strip()
        return text if kind == "duey" else f"expected {text[:1].lower()}{text[1:200]}, found {found(first['input'])}"
    return f"expected {any_of(list(dict.fromkeys(expected)))}, found {found(first['input'])}"


def _expected(error: ErrorDetails) -> str:
    context = error.get("ctx", {}).items()
    whole = {name: int(each) if isinstance(each, float) and each.is_integer() else each for name, each in context}
    return EXPECTED[error["type"]].format(**whole).replace("'", '"')


def converted(values: list[Any]) -> int:
    """How many of these values and of their members are no JSON values. Stops above MAX_CONVERSIONS."""
    count = 0
    while values:
        others = [each for each in values if type(each) not in _JSON_TYPES]
        count += len(others)
        if count > MAX_CONVERSIONS:
            break
        holders = [each for each in values if type(each) in _HOLDERS]
        values = []
        for each in others + holders:
            if isinstance(each, dict):
                values += [*each, *each.values()]
            elif isinstance(each, (list, tuple, set, frozenset)):
                values += each
            elif dataclasses.is_dataclass(type(each)):  # of the class, because an enum's member answers slowly
                values += [getattr(each, field.name, None) for field in dataclasses.fields(each)]
    return count


def unsound(value: Any) -> list[FieldError]:
    """What a hint accepts, but cannot be stored: NaN, half of a surrogate pair, nesting that is too deep."""
    problems: list[FieldError] = []
    if not ((type(value) is str and value.isascii()) or is_plain(value, depth=MAX_DEPTH - 1)):
        _look(value, "", 0, problems)
    return problems


def _look(value: Any, path: str, depth: int, problems: list[FieldError]) -> None:
    kind = type(value)
    if len(problems) > MAX_PROBLEMS:
        return
    if kind is str and not is_unicode(value):
        problems.append(FieldError(path, f"expected valid Unicode, found {found(value)}"))
    elif kind is float and not math.isfinite(value):
        problems.append(FieldError(path, f"expected a finite number, found {found(value)}"))
    elif kind in (list, tuple, dict):
        if depth >= MAX_DEPTH:
            problems.append(FieldError(path, f"is nested deeper than {MAX_DEPTH} levels: flatten it"))
            return
        for step, each in value.items() if kind is dict else enumerate(value):
            below = path + (at_field(step) if kind is dict else f"[{step}]")
            if kind is dict:
                _look(step, below, depth + 1, problems)
            _look(each, below, depth + 1, problems)


def any_of(texts: list[str]) -> str:
    """`a, b or c`"""
    return f"{', '.join(texts[:-1])} or {texts[-1]}" if len(texts) > 1 else "".join(texts)


def at_field(name: Any) -> str:
    """The step to a named value: `.x`, or `["a b"]` where the name is no identifier."""
    plain = isinstance(name, str) and name.isidentifier() and len(name) <= _SHOWN_CHARS
    return f".{name}" if plain else f"[{quoted(name) if isinstance(name, str) else found(name)}]"


def nearest(name: Any, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known name, or the advice to leave it out."""
    by_folded = {each.casefold(): each for each in known}
    near = get_close_matches(name[:_SHOWN_CHARS].casefold(), by_folded, n=1) if isinstance(name, str) else []
    return f"; did you mean {by_folded[near[0]]}?" if near else ": leave it out"


def found(value: Any) -> str:
    """A value in a sentence: a scalar itself, at most 60 characters; others by type and size."""
    if type(value) is float and not math.isfinite(value):
        return f"{value}, which JSON does not have"
    if type(value) is int:
        return f"the number {value}" if value.bit_length() < 190 else "the number of more than 55 digits"
    if type(value) is float:
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the text {quoted(value)}" if is_unicode(value) else "text with half of a surrogate pair"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if type(value) is list or type(value) is tuple:
        return f"a list of {len(value)}" if value else "an empty list"
    if type(value) is dict:
        return f"an object of {len(value)} field{'s'[: len(value) != 1]}" if value else "an empty object"
    return f"a value of the type {type_name(type(value))}"


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
