"""Checks names, and makes text from outside safe to store."""

from __future__ import annotations

import re

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


def bounded(text: str, limit: int) -> str:
    """Return at most `limit` characters that SQLite can store."""
    # Replace lone surrogates (possible in JSON), which cannot be encoded.
    return text[:limit].encode("utf-8", "replace").decode("utf-8")
