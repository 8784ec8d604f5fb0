"""`args.KEY:prefix`: jobs by what one of their arguments begins with.

A key is the name of a keyword argument, of a parameter (where the event brought the names), or a position (`0`). A
value is compared as its text, or as its JSON where it is no text, upper and lower case alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from duey.monitor.history import plain
from duey.monitor.history.schema import JOBS

J = JOBS.c


class ArgumentFilter:
    """All of (key, prefix) must hold."""

    def __init__(self, wanted: Sequence[tuple[str, str]]) -> None:
        self._wanted = [(key, prefix.lower()) for key, prefix in wanted]

    def checks(self) -> list[Any]:
        """Conditions that every match fulfils, which the database can check faster."""
        found = []
        for _, prefix in self._wanted:
            if prefix:
                # As it stands within JSON; a prefix that begins a list or an object may be spaced otherwise.
                inside = json.dumps(prefix, ensure_ascii=False)[1:-1]
                if prefix.isascii() and prefix[0] not in "[{":
                    found.append(J.args.contains(inside) | J.kwargs.contains(inside))
        return found

    def matches(self, args: str | None, kwargs: str | None, names: str | None) -> bool:
        """Whether a job with these columns is wanted."""
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
