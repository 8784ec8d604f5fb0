"""The query of a URL, such as `?state=failed&limit=20`, checked against the endpoint's list of parameters.

A parameter that is unknown, is given twice or has an invalid value is refused by name (422). An empty value
counts as not given, so that a form or template can send all parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl

from duey.api.problem import Refusal, refused_fields

MAX_PARAMETERS = 50


@dataclass(frozen=True)
class Parameter:
    """One parameter: `read(text)` returns its value or raises ValueError with a sentence."""

    name: str
    description: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any]


def read_query(environ: Mapping[str, Any], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the values of the given parameters by name. Raises Refusal 422."""
    text = environ.get("QUERY_STRING", "")
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:  # also UnicodeDecodeError
        raise Refusal("invalid", "the query of the URL is not UTF-8 or has too many parameters") from None
    known = {parameter.name: parameter for parameter in parameters}
    given: dict[str, Any] = {}
    refused: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name, value in pairs:
        try:
            if name in seen:
                raise ValueError("it is given twice")
            seen.add(name)
            if name not in known:
                raise ValueError(unknown(name, list(known), "parameter"))
            if value:
                given[name] = known[name].read(value)
        except ValueError as error:
            refused.append((name[:100], str(error)))
    if refused:
        raise refused_fields(refused)
    return given


def unknown(name: str, known: Sequence[str], noun: str) -> str:
    """Return the error message for an unknown name, with the nearest known name."""
    nearest = get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known) or 'none'}"
    return f"no such {noun}; {hint}"


def seconds(text: str) -> float:
    """Parse a number of seconds, not below 0. Raises ValueError."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"expected a number of seconds from 0, found {text[:50]!r}")
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(f"expected a whole number from {low} to {high}, found {text[:50]!r}")
        return int(text)

    return read


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """Return a parser that accepts one of `choices`."""

    def read(text: str) -> str:
        if text not in choices:
            nearest = get_close_matches(text[:100], choices, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ValueError(f"expected one of {', '.join(choices)}, found {text[:50]!r}{hint}")
        return text

    return read


def text_up_to(chars: int) -> Callable[[str], str]:
    """Return a parser for text of at most `chars` characters."""

    def read(text: str) -> str:
        if len(text) > chars:
            raise ValueError(f"expected at most {chars} characters, found {len(text)}")
        return text

    return read
