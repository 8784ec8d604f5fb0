"""Cron expressions in words: descriptions, error messages, durations."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timezone

from cronsim import CronSim, CronSimError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FIELDS = (
    ("minute", "a number from 0 to 59"),
    ("hour", "a number from 0 to 23"),
    ("day of the month", "a number from 1 to 31, L (the last day) or LW (the last working day)"),
    ("month", "a number from 1 to 12 or a name such as jan"),
    ("weekday", "a number from 0 (Sunday) to 7 (Sunday), a name such as mon, mon#1 (the first), 5L (the last Friday)"),
)
COMBINED = "also *, a-b, a,b or */n"
UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
SIZES, LOWEST = (60, 24, 31, 12, 7), (0, 0, 1, 1, 0)
SECONDS = {0: 60, 1: 3600, 2: 86400}
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
NAMES = {name: n for n, name in enumerate(MONTHS, 1)} | {day[:3].lower(): (n + 1) % 7 for n, day in enumerate(WEEKDAYS)}
_NAME = "|".join(NAMES)
RANGE = re.compile(rf"(?<![^\s,])([0-9]+|{_NAME})-([0-9]+|{_NAME})/(0*[1-9][0-9]*)(?![^\s,])", re.IGNORECASE)
NUMBERED = re.compile(r"\b([0-9]+)th\b")
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)


def words(plain: str, days: Collection[int] | None) -> str:
    """The description of five fields. `days`: only on these weekdays (0 is Monday)."""
    try:
        fields = plain.split()
        fields[:2] = ["0" if step_of(text) >= size else text for text, size in zip(fields[:2], SIZES, strict=False)]
        text = NUMBERED.sub(ordinal, str(CronSim(" ".join(fields), EPOCH).explain()))
    except Exception:  # a missing description must not fail anything
        text = plain
    return text if days is None else f"{text}, if it is a {' or '.join(WEEKDAYS[day] for day in sorted(days))}"


def ordinal(number: re.Match[str]) -> str:
    """Correct an ordinal such as `31th` to 31st."""
    n = int(number[1])
    return f"{n}{'th' if n // 10 % 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def step_of(field: str) -> int:
    """The n of `*/n`; 0 for any other field."""
    found = re.fullmatch(r"\*/([0-9]+)", field)
    return int(found[1]) if found else 0


def by_vixie(fields: str) -> str:
    """Five fields in which a range with a step that exceeds it is replaced by its first number: `10-10/5` means 10, as
    in get_range() of Vixie's cron, and not every fifth number from 10 on, as for cronsim."""
    return RANGE.sub(lambda found: found[1] if leads_out(*found.groups()) else found[0], fields)


def leads_out(first: str, last: str, step: str) -> bool:
    a, b = (NAMES[each.lower()] if each.isalpha() else int(each) for each in (first, last))
    return int(step) > b - a >= 0


def idle_step(plain: str) -> str | None:
    """The problem of a step that is larger than its field, so that only the first number remains. None if there is no
    such step."""
    for n, text in enumerate(plain.split()):
        if step_of(text) > SIZES[n]:
            every = f", or every({step_of(text) * SECONDS[n]})" if n in SECONDS else ""
            return (
                f"expected as {FIELDS[n][0]} a step of at most {SIZES[n]}, found {text!r}, which is only ever "
                f"{LOWEST[n]}: write {LOWEST[n]}{every}"
            )
    return None


def short_days(days: Collection[int]) -> str:
    """`mon,tue`"""
    return ",".join(WEEKDAYS[day][:3].lower() for day in sorted(days))


def complaint(plain: str) -> str:
    """The problem of five fields that cronsim refuses: what was expected and what was found."""
    parts = plain.split()
    for index, (name, expected) in enumerate(FIELDS):
        pieces = parts[index].split(",")
        for piece in pieces:
            alone = ["*"] * 5
            alone[index] = piece
            try:
                CronSim(" ".join(alone), EPOCH)
            except (CronSimError, ValueError, OverflowError, AssertionError):
                return f"expected as {name} {expected}, {COMBINED}; found {piece!r}"
    return "no month that it names has such a day"


def duration(seconds: float) -> str:
    """A duration as exact text in the largest possible units: `2 days`, `1 hour 30 minutes`, `90.5 seconds`."""
    parts, left = [], seconds
    for unit_s, name in UNITS:
        count, left = divmod(left, unit_s)
        if count:
            parts.append(f"{count:g} {name}{'' if count == 1 else 's'}")
    if left or not parts:
        parts.append(f"{left:.12g} second{'' if left == 1 else 's'}")
    return " ".join(parts)
