"""Text as this room lets it in: names that are checked, and foreign text that is made harmless to store."""

from __future__ import annotations

import re

from duey.monitor.access.errors import InvalidInput

NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


def checked_name(what: str, name: str) -> str:
    """The name itself. Raises InvalidInput."""
    if not NAME.fullmatch(name):
        raise InvalidInput(what, "1 to 64 letters, digits or any of _ . @ -", repr(name[:100]))
    return name


def possible_name(name: str) -> str:
    """The name, or nothing where it cannot be one: to look up what came from outside."""
    return name if NAME.fullmatch(name) else ""


def bounded(text: str, limit: int) -> str:
    """At most `limit` characters that SQLite can store."""
    # A lone surrogate (JSON can carry one) cannot be encoded, and would turn an audit line into a crash.
    return text[:limit].encode("utf-8", "replace").decode("utf-8")
