"""Timetables: when a schedule is due.

`cron("0 3 * * mon-fri", tz="Europe/Zagreb")`: five fields with names, ranges, steps, L and # as in cronsim, or @daily
and similar; `every(seconds)`, counted from the last recorded slot; `at(moment)`, once; Huey's `crontab(...)`, strict
(duey.scheduling.huey_crontab); or a function of a minute, as for Huey. A slot is an instant in UTC epoch seconds.

Daylight saving follows Debian's cron. What falls into a skipped hour runs once right after it. What falls into a
repeated hour runs once, in its first pass. According to its cron(8) that "only applies to jobs that run at a specific
time and jobs that run with a granularity greater than one hour". Expressions whose minute or hour begins with * run
more often and follow the clock on the wall: `* 0 * * *` does not run on a day that begins at 01:00. cronsim enumerates
the moments, but the rule is implemented here, because cronsim's own names some moments that no clock shows, and skips
hours where a clock is set by half an hour or at an odd minute.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from cronsim import CronSim, CronSimError

from duey import clock
from duey.errors import Misconfigured
from duey.scheduling import cron_text
from duey.scheduling.timezones import after_the_gap, day_of, is_repeated, is_skipped, second_pass, zone

CATCH_UP = ("skip", "once", "all")
OVERLAP = ("skip", "queue", "allow")
MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
EXPRESSION_CHARS = 300
DAYS_TRIED = 366 * 50  # the same limit as cronsim's
MINUTES_TRIED = 2 * 24 * 60  # how many future minutes a function of a minute is asked for at most
AHEAD_S = 0.08  # and for how long
LONGEST_S = 10 * 366 * 86400.0
LAST_INSTANT = datetime(9999, 12, 31, tzinfo=timezone.utc).timestamp()  # a day early: zones are up to 14 h ahead
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)  # any instant, if only the expression matters


@dataclass(frozen=True)
class Timetable:
    """When to run, and what to do about missed runs. None: as configured in `[schedule]`."""

    tz: str | None = field(default=None, kw_only=True)
    catch_up: str | None = field(default=None, kw_only=True)
    overlap: str = field(default="skip", kw_only=True)
    window_s: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.catch_up is not None and self.catch_up not in CATCH_UP:
            raise Misconfigured(f"catch_up is one of {', '.join(CATCH_UP)}, not {self.catch_up!r}")
        if self.overlap not in OVERLAP:
            raise Misconfigured(f"overlap is one of {', '.join(OVERLAP)}, not {self.overlap!r}")
        if self.window_s is not None and not is_number(self.window_s, 0):
            raise Misconfigured(f"window_s is a number of seconds up to ten years, not {self.window_s!r}")
        if self.tz is not None:
            zone(self.tz)

    @property
    def is_ours(self) -> bool:
        """Whether it runs no author's code."""
        return type(self) in (Cron, Every, At)

    @property
    def text(self) -> str:
        """The expression as it was written."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """The description of the expression."""
        return self.text

    def after(self, instant: float, default_tz: str) -> float | None:
        """The first slot after `instant` (epoch seconds), or None."""
        raise NotImplementedError

    def resume(self, last: float, instant: float) -> float:
        """The instant from which `after` continues if the slots between `last` and `instant` are skipped."""
        return instant

    def __call__(self, timestamp: datetime) -> bool:
        """Huey's interface: whether this minute (naive, in the timetable's zone) is a slot."""
        return False


@dataclass(frozen=True)
class Cron(Timetable):
    """Five fields, or a macro. `days` restricts it to these weekdays (cron's own rule is day of the month OR
    weekday)."""

    expression: str = ""
    days: frozenset[int] | None = None  # 0 is Monday, as datetime.weekday()

    def __post_init__(self) -> None:
        super().__post_init__()
        found = self.expression
        if not isinstance(found, str) or len(found) > EXPRESSION_CHARS or len(self.plain.split()) != 5:
            text = repr(found)
            text = text if len(text) <= 80 else f"{type(found).__name__} of {len(text)} characters"
            known = f"five fields (minute hour day month weekday) or is one of {', '.join(MACROS)}"
            raise Misconfigured(f"a cron expression has {known}; found {text}")
        try:
            CronSim(self.plain, EPOCH)
        except (CronSimError, ValueError, OverflowError, AssertionError):
            raise Misconfigured(f"cron expression {found!r}: {cron_text.complaint(self.plain)}") from None
        if self.after(EPOCH.timestamp(), "UTC") is None:
            raise Misconfigured(f"cron expression {found!r} never falls due: no such day is in the next 50 years")

    @property
    def plain(self) -> str:
        """The five fields."""
        return cron_text.by_vixie(MACROS.get(self.expression.strip().lower(), self.expression))

    @property
    def text(self) -> str:
        return self.expression if self.days is None else f"{self.expression} and {cron_text.short_days(self.days)}"

    @property
    def words(self) -> str:
        return cron_text.words(self.plain, self.days)

    @property
    def by_the_wall(self) -> bool:
        """Whether it follows the clock on the wall in an hour that is skipped or repeated."""
        minute, hour, *_ = self.plain.split()
        return minute.startswith("*") or hour.startswith("*")

    def after(self, instant: float, default_tz: str) -> float | None:
        tz = zone(self.tz or default_tz)
        local = datetime.fromtimestamp(instant, tz)
        if self.by_the_wall and not local.fold and is_repeated(local):
            again = self._in_this_pass(local)
            if again is not None:
                return again
            local = second_pass(local)
        for moment in self._moments(local.replace(tzinfo=None)):
            there = moment.replace(tzinfo=tz, fold=0)
            if is_skipped(there):
                if self.by_the_wall:
                    continue
                there = after_the_gap(there)
            elif self.by_the_wall and local.fold and is_repeated(there):
                there = there.replace(fold=1)
            if there.timestamp() > instant:
                return there.timestamp()
        return None

    def _in_this_pass(self, local: datetime) -> float | None:
        """The next slot before the clock is set back."""
        for moment in self._moments(local.replace(tzinfo=None)):
            there = moment.replace(tzinfo=local.tzinfo)
            return there.timestamp() if is_repeated(there) else None
        return None

    def _moments(self, naive: datetime) -> Iterator[datetime]:
        """The moments of the expression after this one, ignoring daylight saving: those of cronsim on the right
        weekdays."""
        sim = CronSim(self.plain, naive)
        for _ in range(DAYS_TRIED):
            moment = next(sim, None)
            if moment is None:
                return
            if self.days is None or moment.weekday() in self.days:
                yield moment
            else:  # continue with the next day of the expression
                sim = CronSim(self.plain, moment.replace(hour=23, minute=59, second=59))

    def __call__(self, timestamp: datetime) -> bool:
        minute = timestamp.replace(second=0, microsecond=0)
        return next(self._moments(minute - timedelta(seconds=1)), None) == minute


@dataclass(frozen=True)
class Every(Timetable):
    """Every `seconds`, counted from the last recorded slot, so that a restart changes nothing."""

    seconds: float = 60.0
    first_in: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.seconds, 1):
            raise Misconfigured(f"every() takes seconds, from 1 up to ten years, not {self.seconds!r}")
        if self.first_in is not None and not is_number(self.first_in, 0):
            raise Misconfigured(f"first_in is a number of seconds up to ten years, not {self.first_in!r}")

    @property
    def text(self) -> str:
        first = "" if self.first_in is None else f", first in {self.first_in:.12g} s"
        return f"every {self.seconds:.12g} s{first}"

    @property
    def words(self) -> str:
        first = "" if self.first_in is None else f", the first time after {cron_text.duration(self.first_in)}"
        return f"Every {cron_text.duration(self.seconds)}{first}"

    def after(self, instant: float, default_tz: str) -> float | None:
        return instant + self.seconds

    def resume(self, last: float, instant: float) -> float:
        return last + max(0, math.floor((instant - last) / self.seconds)) * self.seconds


@dataclass(frozen=True)
class At(Timetable):
    """Once, at an instant (epoch seconds)."""

    instant: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.instant, 0, LAST_INSTANT):
            day = day_of(self.instant)
            raise Misconfigured(f"at() takes a time from 1970 on and a day or more before the year 10000, not {day}")

    @property
    def text(self) -> str:
        return f"at {datetime.fromtimestamp(self.instant, timezone.utc):%Y-%m-%d %H:%M:%SZ}"

    @property
    def words(self) -> str:
        moment = datetime.fromtimestamp(self.instant, zone(self.tz or "UTC"))
        return f"Once, at {moment:%H:%M:%S on %d %B %Y} ({self.tz or 'UTC'})"

    def after(self, instant: float, default_tz: str) -> float | None:
        return self.instant if instant < self.instant else None


@dataclass(frozen=True)
class Minutes(Timetable):
    """A function that is called for each minute of the zone's clock, when the minute has come, as Huey does."""

    function: Callable[[datetime], bool] = field(default=lambda _: False)

    @property
    def text(self) -> str:
        return f"{getattr(self.function, '__qualname__', 'a function')}()"

    @property
    def words(self) -> str:
        return f"Each minute for which {self.text} is true"

    def after(self, instant: float, default_tz: str) -> float | None:
        """What the function returns now for future minutes. The scheduler calls it again when they have come."""
        until = max(instant, clock.now()) // 60 + MINUTES_TRIED
        minute, give_up_at = instant // 60 + 1, time.monotonic() + AHEAD_S
        while minute <= until and time.monotonic() < give_up_at:
            if self.holds(minute * 60, default_tz):
                return minute * 60
            minute += 1
        return None

    def holds(self, minute: float, default_tz: str) -> bool:
        """Whether this minute is a slot."""
        local = datetime.fromtimestamp(minute, zone(self.tz or default_tz))
        return bool(self.function(local.replace(tzinfo=None)))

    def __call__(self, timestamp: datetime) -> bool:
        return bool(self.function(timestamp))


# for task files


def cron(expression: str, **options: Any) -> Cron:
    """Five cron fields or a macro. Options: tz, catch_up, overlap, window_s."""
    return heeded(Cron(expression=expression, **options))


def heeded(table: Cron) -> Cron:
    """Check a timetable that is new. Raises Misconfigured for expressions that cron accepts but nobody means. Stored
    ones are not checked."""
    idle = cron_text.idle_step(table.plain)
    if idle is not None:
        raise Misconfigured(f"cron expression {table.expression!r}: {idle}")
    return table


def every(seconds: float, first_in: float | None = None, **options: Any) -> Every:
    """Every `seconds`, for the first time after `first_in` seconds (default: `seconds`). Options as in cron()."""
    return Every(seconds=seconds, first_in=first_in, **options)


def at(moment: datetime, **options: Any) -> At:
    """Once, at `moment`, which must have a time zone. Options as in cron()."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise Misconfigured(f"at() takes a datetime with a zone, not {moment!r}: give it tzinfo")
    return At(instant=moment.timestamp(), **options)


def is_number(value: Any, least: float, most: float = LONGEST_S) -> bool:
    """Whether the value is a number within these bounds."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
