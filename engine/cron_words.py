"""Timetables in words: what a cron expression says, what is wrong with one that is refused, how long a time is."""

from __future__ import annotations

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
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)


def words(plain: str, days: Collection[int] | None) -> str:
    """Five fields as a person would say them; `days`: only if it is one of these weekdays (0 is Monday)."""
    try:
        said = str(CronSim(plain, EPOCH).explain())
    except Exception:  # words are no reason to fail
        said = plain
    return said if days is None else f"{said}, if it is a {' or '.join(WEEKDAYS[day] for day in sorted(days))}"


def short_days(days: Collection[int]) -> str:
    """`mon,tue`"""
    return ",".join(WEEKDAYS[day][:3].lower() for day in sorted(days))


def complaint(plain: str) -> str:
    """What is wrong with five fields that cronsim refuses: expected, found."""
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
    """`2 days`, `1 hour 30 minutes`, `90.5 seconds`: exact, in the largest units that go into it."""
    said, left = [], seconds
    for unit_s, name in UNITS:
        count, left = divmod(left, unit_s)
        if count:
            said.append(f"{count:g} {name}{'' if count == 1 else 's'}")
    if left or not said:
        said.append(f"{left:.12g} second{'' if left == 1 else 's'}")
    return " ".join(said)
