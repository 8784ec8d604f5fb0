"""The filter of the jobs page: as text of its box, as query of its address, as chips, and as a JobFilter.

    webhook task:send_email state:failed error:TimeoutError queue:slow args.to:bob@ since:2h until:2025-11-23T14:00Z

Words without a key are searched as text (quotes keep spaces). `state` and `task` may also be parameters of the
address, as in the tabs and links. A word that cannot be understood filters nothing, and the page says so.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import timezone
from difflib import get_close_matches

from duey.model.job import STATES
from duey.monitor.history import JobFilter
from duey.monitor.web.display.formats import read_local
from duey.monitor.web.forms.fields import Fields

KEYS = ("task", "state", "error", "queue", "since", "until", "group", "parent", "by")
LONGEST = 500
UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LENGTH = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,1100})?)\s*(s|m|min|h|d|w)?")  # as many digits as a number can have


@dataclass(frozen=True)
class Chip:
    """A condition as it is shown, and the filter without it."""

    text: str
    without: dict[str, str]


@dataclass(frozen=True)
class Filter:
    """A filter. `words` are the conditions of the box, in order, as (key, value). The key of text is ""."""

    state: str
    task: str
    words: tuple[tuple[str, str], ...]
    wanted: JobFilter
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what is searched as text, but looks like a key

    @property
    def is_empty(self) -> bool:
        """Whether there is no condition except the state."""
        return not (self.task or self.words)

    @property
    def box(self) -> str:
        return " ".join(as_word(key, value) for key, value in self.words)

    def query(self, **other: str) -> dict[str, str]:
        """Return the parameters of the address. Keywords replace some of them."""
        return {"state": self.state, "task": self.task, "q": self.box, **other}

    def chips(self) -> list[Chip]:
        """Return all conditions except the state, which the tabs show."""
        found = [Chip(f"task:{self.task}", self.query(task=""))] if self.task else []
        for n, (key, value) in enumerate(self.words):
            left = " ".join(as_word(*word) for m, word in enumerate(self.words) if m != n)
            found.append(Chip(as_word(key, value), self.query(q=left)))
        return found


def read_filter(fields: Fields, now: float) -> Filter:
    """Return the filter of an address or a form."""
    problems: list[str] = []
    given: dict[str, str] = {}
    args: list[tuple[str, str]] = []
    text: list[str] = []
    words: list[tuple[str, str]] = []
    for key, value in _split(fields.get("q")[:LONGEST]):
        if key == "state":
            given["state"] = value  # the tabs show it
            continue
        words.append((key, value))
        if key.startswith("args."):
            args.append((key[5:], value))
        elif key:
            given[key] = value
        else:
            text.append(value)
    state = fields.get("state") or given.get("state", "")
    if state and state not in STATES:
        near = get_close_matches(state, STATES, n=1)
        problems.append(
            f"state: expected {', '.join(STATES)}, found {state[:60]!r}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
        state = ""
    task = fields.get("task")[:LONGEST]
    wanted = JobFilter(
        state=state or None,
        task=task or given.get("task"),
        queue=given.get("queue"),
        error_type=given.get("error"),
        fingerprint=given.get("group"),
        text=" ".join(text) or None,
        parent=given.get("parent"),
        by=given.get("by"),
        args=tuple(args),
        since=_instant("since", given.get("since"), now, problems),
        until=_instant("until", given.get("until"), now, problems),
    )
    notes = [note for key, value in words if not key and (note := _like_a_key(value))]
    return Filter(state, task, tuple(words), wanted, tuple(problems), tuple(notes))


def _like_a_key(word: str) -> str:
    """Return a sentence about a word that is searched as text although it may be meant as KEY:VALUE."""
    match = re.fullmatch(r"([A-Za-z_][\w.]*):(?!//)(.+)", word)
    if not match:
        return ""
    key, value = match[1][:40], match[2][:40]
    near = get_close_matches(key, KEYS, n=1)
    meant = f"did you mean {near[0]}:{value}?" if near else f"an argument is args.{key}:{value}."
    return f"{word[:80]} is searched as text, because {key} is no key of the filter: {meant}"


def _split(box: str) -> list[tuple[str, str]]:
    try:
        parts = shlex.split(box)
    except ValueError:  # a quote is not closed
        parts = box.split()
    found = []
    for part in parts:
        key, colon, value = part.partition(":")
        if colon and value and (key in KEYS or re.fullmatch(r"args(\.\w+)+", key)):
            found.append((key, value))
        else:
            found.append(("", part))
    return found


def as_word(key: str, value: str) -> str:
    """Return a condition as the box shows it."""
    word = f"{key}:{value}" if key else value
    return word if re.fullmatch(r"[^\s'\"\\]+", word) else shlex.quote(word)


def length_s(text: str) -> float | None:
    """Return the seconds of a length such as 90s, 15min, 2h or 3d (a bare number is seconds), or None."""
    match = _LENGTH.fullmatch(text.strip())
    return float(match[1]) * UNITS_S[match[2] or "s"] if match else None


def _instant(key: str, value: str | None, now: float, problems: list[str]) -> float | None:
    """Return the time of a length before now (2h), or of an RFC 3339 time."""
    if not value:
        return None
    if value[-1].isalpha() and value[-1] != "Z" and (length := length_s(value)) is not None:
        return now - length
    try:
        return read_local(value, timezone.utc)
    except ValueError:
        problems.append(
            f"{key}: expected a length such as 90s, 15min, 2h or 3d, or a time such as 2030-01-31T14:00Z, "
            f"found {value[:60]!r}"
        )
        return None
