"""A strict version of Huey's crontab(): an invalid part stops the start with a sentence that names it.

The meaning is Huey's: ranges may wrap around (`22-4`), 0 and 7 are Sunday, and day AND weekday must match, where cron
requires only one of them. The result is a Cron, so it has a zone, durable slots and a description like any other
timetable. A function that Huey's own crontab() has created (a task file may import it from huey) is converted, too.
"""

from __future__ import annotations

import inspect
import re
import types
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import huey

from duey.errors import Misconfigured
from duey.scheduling.timetable import Cron, Timetable, at, cron, every, heeded

RANGES = {"minute": range(60), "hour": range(24), "day": range(1, 32), "month": range(1, 13), "day_of_week": range(7)}
SUNDAY = datetime(2023, 1, 1)  # also the first of a month with 31 days
STEP = re.compile(r"\*(/[1-9][0-9]*)?")
EACH_MINUTE = (
    "crontab(hour={}) without minute= runs in each minute of that hour: say minute='0' to run once in it, or (with "
    "crontab from duey) minute='*' if each minute is meant"
)
EXAMPLE = "cron('0 3 * * *')"
HUEYS_ORDER = ("month", "day", "day_of_week", "hour", "minute")  # of the lists that Huey's function keeps


def crontab(
    minute: Any = None, hour: Any = "*", day: Any = "*", month: Any = "*", day_of_week: Any = "*", strict: bool = True,
    **options: Any,
) -> Cron:  # fmt: skip
    """Huey's crontab with options: tz, catch_up, overlap, window_s. Always strict: raises Misconfigured."""
    given = {"minute": "*" if minute is None else minute, "hour": hour, "day": day, "month": month}
    parts = {name: field_of(name, value) for name, value in {**given, "day_of_week": day_of_week}.items()}
    if minute is None and parts["hour"] != "*":
        warnings.warn(EACH_MINUTE.format(repr(hour)), stacklevel=2)
    return heeded(cron_of(parts, options))


crontab.hourly = partial(crontab, minute="0")  # type: ignore[attr-defined]  # as Huey's has them
crontab.daily = partial(crontab, minute="0", hour="0")  # type: ignore[attr-defined]


def warn_every_minute(given: Any) -> None:
    """Raise Misconfigured for something that is not a timetable, with a correction. Warn if one from Huey's own
    crontab() runs in every minute of an hour."""
    instead = correction(given)
    if instead is not None:
        raise Misconfigured(
            "@huey.periodic_task takes cron(), every(), at(), crontab() or a function of a minute, found "
            f"{given!r:.100}: write @huey.periodic_task({instead})"
        )
    found = read_back(given)
    if found is not None:
        minute, hour, *_ = found.plain.split()
        if minute == "*" and hour != "*":
            warnings.warn(EACH_MINUTE.format(repr(hour)), stacklevel=3)


def correction(given: Any) -> str | None:
    """What to write instead of a decorator's argument that is not a timetable. None if it is one."""
    if isinstance(given, str):
        fits = given.strip().startswith("@") or len(given.split()) == 5
        return f"cron({given!r})" if fits else EXAMPLE
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return f"every({given!r})"
    if isinstance(given, timedelta):
        return f"every({given.total_seconds():g})"
    if isinstance(given, datetime):
        return "at(...) with this time in it"
    if isinstance(given, Timetable):
        return None
    if not callable(given) or isinstance(given, type):
        return EXAMPLE
    for maker, called in MAKERS:  # it was not called
        if given is maker:
            return called
    if inspect.iscoroutinefunction(given):  # the coroutine that it returns is always true
        return EXAMPLE
    try:
        inspect.signature(given).bind(SUNDAY)
    except TypeError:  # the parentheses of the decorator are missing: this is the task itself
        return EXAMPLE
    except ValueError:  # some functions written in C have no signature
        return None
    return None


MAKERS = (
    (cron, EXAMPLE), (every, "every(60)"), (at, "at(...)"),
    (crontab, "crontab(minute='0', hour='3')"), (huey.crontab, "crontab(minute='0', hour='3')"),
)  # fmt: skip


def read_back(function: Any) -> Cron | None:
    """The timetable of a function that Huey's own crontab() has created; None for any other function."""
    if not isinstance(function, types.FunctionType) or function.__code__ is not HUEYS_CODE:
        return None
    lists = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))["cron_settings"]
    found = dict(zip(HUEYS_ORDER, lists.cell_contents, strict=True))
    # Its list of all weekdays contains Sunday twice, as 0 and as 7.
    return cron_of({name: rhythm(RANGES[name], [n for n in found[name] if n in RANGES[name]]) for name in found}, {})


HUEYS_CODE = huey.crontab().__code__


def cron_of(parts: Mapping[str, str], options: Mapping[str, Any]) -> Cron:
    """The five fields as a Cron in which day AND weekday must match."""
    fields = {name: parts[name] for name in RANGES}
    days = None
    if not (
        fields["day"].startswith("*") or fields["day_of_week"].startswith("*")
    ):  # cron would require only one of them
        days = frozenset((number - 1) % 7 for number in numbers("day_of_week", fields["day_of_week"]))
        fields["day_of_week"] = "*"
    return Cron(expression=" ".join(fields.values()), days=days, **options)


def field_of(name: str, value: Any) -> str:
    """One field of Huey's crontab as a list that every cron understands."""
    found = numbers(name, value)
    if len(found) == len(RANGES[name]):
        return "*"
    # Keep a leading *, which matters when the clock is set forward or back.
    return str(value) if STEP.fullmatch(str(value)) else listed(found)


def numbers(name: str, value: Any) -> list[int]:
    """The numbers that a field means for Huey. Raises Misconfigured, which names the invalid part."""
    for piece in str(value).split(","):
        if not isinstance(value, (str, int)) or isinstance(value, bool) or matcher(name, piece) is None:
            numbered = RANGES[name]
            steps = "" if name == "day_of_week" else " or */n"
            raise Misconfigured(
                f"crontab({name}={value!r}): expected *, a number from {numbered[0]} to {numbered[-1]}, a range such "
                f"as 1-4 or 1-5/2{steps}, or several with commas; found {piece!r}"
            )
    matches = matcher(name, str(value))
    return [n for n in RANGES[name] if matches(placed(name, n))]


def matcher(name: str, text: str) -> Any:
    """Huey's function for one field, None if Huey refuses the field."""
    try:
        return huey.crontab(**{name: text, "strict": True})
    except ValueError:
        return None


def placed(name: str, n: int) -> datetime:
    """A moment whose field `name` is `n`."""
    if name == "day_of_week":
        return SUNDAY + timedelta(days=n)
    return SUNDAY.replace(**{name: n})  # type: ignore[arg-type]


def rhythm(numbered: range, values: Sequence[int]) -> str:
    """Numbers as `*`, as `*/n` if that is the same, or as a list."""
    if len(values) == len(numbered):
        return "*"
    steps = {b - a for a, b in pairwise(values)}
    if len(values) > 2 and len(steps) == 1 and list(numbered[:: min(steps)]) == list(values):
        return f"*/{min(steps)}"
    return listed(values)


def listed(values: Sequence[int]) -> str:
    """`1-5,8`"""
    runs: list[list[int]] = []
    for n in values:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ",".join(str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)
