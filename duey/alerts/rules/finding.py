"""A finding: what a rule says about one subject at one time, and numbers and times as a person reads them. Findings
become incidents (duey.alerts.incidents)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

TITLE = 120  # characters of a message in a title
Fact = tuple[str, str]  # label and value; `task`, `schedule` and `error` are also fields of a webhook's JSON


@dataclass(frozen=True)
class Finding:
    """Something is wrong with a subject now. A subject without a finding is well.

    `count`: how often it happened since the last evaluation; 0 for a condition that goes on. `opens` False: it only
    keeps an open incident open. `link`: path below /monitor/.
    """

    rule: str
    subject: str
    title: str
    lines: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    link: str = ""
    count: int = 0
    opens: bool = True
    job_id: str = ""  # a job that it is about


def headline(text: str) -> str:
    """The first line of a text, cut for a title."""
    first = text.strip().partition("\n")[0]
    return first if len(first) <= TITLE else f"{first[: TITLE - 1]}…"


def span(seconds: float) -> str:
    """A length of time in the unit in which a person says it."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 2 else f"{seconds * 1000:.0f} ms"


def stamp(at: float) -> str:
    """A time as a person reads it, in UTC."""
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
