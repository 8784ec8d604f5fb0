"""Timetables: when a schedule falls due.

`cron("0 3 * * mon-fri", tz="Europe/Zagreb")` in five fields, names, ranges, steps, L and # as cronsim reads them, and
@daily and its like; `every(seconds)` from the last slot on record; `at(instant)` once; Huey's `crontab(...)`, strict;
and any function of a minute, as Huey takes them. Each is callable as Huey's `validate_datetime` is.

Daylight saving follows Debian's cron, as cronsim does: what falls into a skipped hour runs once right after it, what
falls into a repeated hour runs once; expressions with * or */n in the hour run by the clock on the wall.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import huey
from cronsim import CronSim, CronSimError

from engine.errors import Misconfigured

CATCH_UP = ("skip", "once", "all")
OVERLAP = ("skip", "queue", "allow")
MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HORIZON_STEPS = 10_000  # a timetable with no slot among so many candidates has none


@dataclass(frozen=True)
class Timetable:
    """When to run, and what to do about what was missed. None: as `[schedule]` in config.ini says."""

    tz: str | None = field(default=None, kw_only=True)
    catch_up: str | None = field(default=None, kw_only=True)
    overlap: str = field(default="skip", kw_only=True)
    window_s: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.catch_up is not None and self.catch_up not in CATCH_UP:
            raise Misconfigured(f"catch_up is one of {', '.join(CATCH_UP)}, not {self.catch_up!r}")
        if self.overlap not in OVERLAP:
            raise Misconfigured(f"overlap is one of {', '.join(OVERLAP)}, not {self.overlap!r}")
        if self.tz is not None:
            zone(self.tz)

    @property
    def text(self) -> str:
        """The expression as it was written."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """The expression as a person would say it."""
        return self.text

    def after(self, instant: float, default_tz: str) -> float | None:
        """The first slot later than `instant` (epoch s), or None when there is none."""
        raise NotImplementedError

    def __call__(self, timestamp: datetime) -> bool:
        """Huey's question: is this minute (naive, in the timetable's zone) a slot?"""
        return False


@dataclass(frozen=True)
class Cron(Timetable):
    """Five fields, or a macro. `days` narrows it to these weekdays (cron's own rule is day-of-month OR weekday)."""

    expression: str = ""
    days: frozenset[int] | None = None  # 0 is Monday, as datetime.weekday()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.plain.split()) != 5:
            raise Misconfigured(
                f"a cron expression has five fields (minute hour day month weekday) or is one of "
                f"{', '.join(MACROS)}; found {self.expression!r}"
            )
        try:
            CronSim(self.plain, datetime(2026, 1, 1, tzinfo=timezone.utc))
        except CronSimError as exc:
            raise Misconfigured(f"the cron expression {self.expression!r} is refused: {exc}") from None

    @property
    def plain(self) -> str:
        """The five fields."""
        return MACROS.get(self.expression.strip().lower(), self.expression)

    @property
    def text(self) -> str:
        return self.expression

    @property
    def words(self) -> str:
        said = str(CronSim(self.plain, datetime(2026, 1, 1, tzinfo=timezone.utc)).explain())
        if self.days is None:
            return said
        return f"{said}, if it is a {' or '.join(WEEKDAYS[day] for day in sorted(self.days))}"

    def after(self, instant: float, default_tz: str) -> float | None:
        local = datetime.fromtimestamp(instant, zone(self.tz or default_tz))
        for _, slot in zip(range(HORIZON_STEPS), CronSim(self.plain, local), strict=False):
            if (self.days is None or slot.weekday() in self.days) and slot.timestamp() > instant:
                return slot.timestamp()
        return None

    def __call__(self, timestamp: datetime) -> bool:
        minute = timestamp.replace(second=0, microsecond=0, tzinfo=timezone.utc)
        slot = next(iter(CronSim(self.plain, minute - timedelta(seconds=1))), None)
        return slot == minute and (self.days is None or minute.weekday() in self.days)


@dataclass(frozen=True)
class Every(Timetable):
    """Each `seconds`, counted from the last slot on record, so that a restart neither hastens nor starves it."""

    seconds: float = 60.0
    first_in: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.seconds >= 1:
            raise Misconfigured(f"every() takes seconds, at least 1, not {self.seconds!r}")

    @property
    def text(self) -> str:
        return f"every {self.seconds:g} s"

    def after(self, instant: float, default_tz: str) -> float | None:
        return instant + self.seconds


@dataclass(frozen=True)
class At(Timetable):
    """Once, at an instant (epoch s)."""

    instant: float = 0.0

    @property
    def text(self) -> str:
        return f"at {datetime.fromtimestamp(self.instant, timezone.utc):%Y-%m-%d %H:%M:%SZ}"

    def after(self, instant: float, default_tz: str) -> float | None:
        return self.instant if instant < self.instant else None


@dataclass(frozen=True)
class Minutes(Timetable):
    """A function that is asked for each minute of the zone's clock, as Huey takes them."""

    function: Callable[[datetime], bool] = field(default=lambda _: False)

    @property
    def text(self) -> str:
        return getattr(self.function, "__qualname__", "a function")

    def after(self, instant: float, default_tz: str) -> float | None:
        tz = zone(self.tz or default_tz)
        minute = (instant // 60 + 1) * 60
        for _ in range(2 * 24 * 60):  # a function cannot be asked for ever: two days ahead
            if self.function(datetime.fromtimestamp(minute, tz).replace(tzinfo=None)):
                return minute
            minute += 60
        return None

    def __call__(self, timestamp: datetime) -> bool:
        return bool(self.function(timestamp))


# what a task file writes


def cron(expression: str, **options: Any) -> Cron:
    """Five cron fields or a macro. Options: tz, catch_up, overlap, window_s."""
    return Cron(expression=expression, **options)


def every(seconds: float, first_in: float | None = None, **options: Any) -> Every:
    """Each `seconds`; the first time after `first_in` seconds (default: `seconds`)."""
    return Every(seconds=seconds, first_in=first_in, **options)


def at(moment: datetime, **options: Any) -> At:
    """Once; `moment` must have a zone."""
    if moment.tzinfo is None:
        raise Misconfigured(f"at() takes a moment with a zone, not {moment.isoformat()}")
    return At(instant=moment.timestamp(), **options)


def crontab(
    minute: Any = "*", hour: Any = "*", day: Any = "*", month: Any = "*", day_of_week: Any = "*", strict: bool = True,
    **options: Any,
) -> Cron:  # fmt: skip
    """Huey's crontab, always strict: a bad piece is an error that names it. Day AND weekday must match, as in Huey."""
    if hour != "*" and minute == "*":
        warnings.warn(f"crontab(hour={hour!r}) without minute= runs in each minute of that hour", stacklevel=2)
    given = {"minute": minute, "hour": hour, "day": day, "month": month, "day_of_week": day_of_week}
    parts = {name: expand(name, value) for name, value in given.items()}
    days, both = None, "*" not in (parts["day"], parts["day_of_week"])
    if both:  # cron would take either
        days = frozenset((int(d) - 1) % 7 for d in parts["day_of_week"].split(","))
        parts["day_of_week"] = "*"
    return Cron(expression=" ".join(parts.values()), days=days, **options)


RANGES = {"minute": range(60), "hour": range(24), "day": range(1, 32), "month": range(1, 13), "day_of_week": range(7)}


def expand(name: str, value: Any) -> str:
    """One field of Huey's crontab as a list that every cron reads, by asking Huey itself for each value."""
    if value == "*":
        return "*"
    try:
        matches = huey.crontab(**{name: value, "strict": True})
    except (ValueError, AttributeError) as exc:
        raise Misconfigured(f"crontab({name}={value!r}): {exc}") from None
    sunday = datetime(2023, 1, 1)  # a Sunday, the first of a month with 31 days
    found = [n for n in RANGES[name] if matches(placed(sunday, name, n))]
    return ",".join(map(str, found))


def placed(start: datetime, name: str, n: int) -> datetime:
    """A datetime whose field `name` is `n`."""
    if name == "day_of_week":
        return start + timedelta(days=n)
    return start.replace(**{name: n})  # type: ignore[arg-type]


def zone(name: str) -> ZoneInfo:
    """The IANA zone, or Misconfigured."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Misconfigured(f"there is no time zone {name!r}: use a name such as Europe/Zagreb or UTC") from None
