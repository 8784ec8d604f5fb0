"""`duey check` and `duey doctor`, and what they look at. Checks take the settings, return findings, write nothing."""

from __future__ import annotations

from typing import NamedTuple

OK, WARN, FAIL = "ok", "warn", "fail"


class Finding(NamedTuple):
    """One line: the level (ok, warn or fail), what was checked, what was found and what to do."""

    level: str
    subject: str
    text: str
