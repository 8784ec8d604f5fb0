"""Checks names, and makes text from outside safe to store."""

from __future__ import annotations

import re
from typing import Any

from peewee import Expression, fn

from duey.monitor.access.errors import InvalidInput

NAME = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")


def checked_name(what: str, name: str) -> str:
    """Return the name. Raises InvalidInput."""
    if not NAME.fullmatch(name):
        raise InvalidInput(what, "1 to 64 letters, digits or any of _ . @ + -", repr(name[:100]))
    return name


def possible_name(name: str) -> str:
    """Return the name, or '' if it cannot be one, to look up a name from outside."""
    return name if NAME.fullmatch(name) else ""


def is_named(column: Any, name: str) -> Expression:
    """Return the condition that a column has this name, without regard to case."""
    return in_order(column) == possible_name(name).lower()


def in_order(column: Any) -> Any:
    """Return what names are compared and sorted by."""
    return fn.LOWER(column)


def bounded(text: str, limit: int) -> str:
    """Return at most `limit` characters that a database can store."""
    # Replace lone surrogates (possible in JSON), which cannot be encoded, and NUL, which PostgreSQL refuses.
    return text[:limit].replace("\0", "?").encode("utf-8", "replace").decode("utf-8")
