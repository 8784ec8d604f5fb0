"""The filter `args.KEY:prefix`: finds jobs by the beginning of an argument's value.

A key is the name of a keyword argument, the name of a parameter (if the event has the names), or a position (`0`).
Texts are compared as they are, other values as their JSON. Case is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from duey.monitor.history import plain
from duey.monitor.history.schema import JOBS

J = JOBS.c


class ArgumentFilter:
    """A filter on arguments. A job matches if all of its (key, prefix) pairs match."""

    def __init__(self, wanted: Sequence[tuple[str, str]]) -> None:
        self._wanted = [(key, prefix.lower()) for key, prefix in wanted]

    def checks(self) -> list[Any]:
        """Return SQL conditions that every match fulfils. They are faster than `matches`, but let more jobs through."""
        found = []
        for _, prefix in self._wanted:
            if prefix:
                # Prefixes that begin a list or an object are left out, because the stored JSON may have other spaces.
                inside = json.dumps(prefix, ensure_ascii=False)[1:-1]
                if prefix.isascii() and prefix[0] not in "[{":
                    found.append(J.args.contains(inside) | J.kwargs.contains(inside))
        return found

    def matches(self, args: str | None, kwargs: str | None, names: str | None) -> bool:
        """Return whether a job with these columns matches."""
        positional, keyword = plain.decode(args, []), plain.decode(kwargs, {})
        named = dict(zip(map(str, plain.decode(names, [])), positional, strict=False))
        for key, prefix in self._wanted:
            values = [found[key] for found in (keyword, named) if key in found]
            if key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(positional):
                values.append(positional[int(key)])
            if not any(_text(value).lower().startswith(prefix) for value in values):
                return False
        return True


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
