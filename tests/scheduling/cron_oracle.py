"""An oracle for cron expressions that knows nothing of cronsim: generated fields, each a text and what it means."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

DAY_NAMES = dict(sun=0, mon=1, tue=2, wed=3, thu=4, fri=5, sat=6)
MONTH_NAMES = dict(jan=1, feb=2, mar=3, apr=4, may=5, jun=6, jul=7, aug=8, sep=9, oct=10, nov=11, dec=12)


@dataclass(frozen=True)
class Field:
    text: str
    holds: Callable[[date], bool]
    numbers: frozenset[int] = frozenset()

    @property
    def starred(self) -> bool:
        return self.text.startswith("*")


def plain_field(
    draw: st.DrawFn, low: int, high: int, names: dict[str, int] | None = None, end: int = 0
) -> tuple[str, set[int]]:
    """A list of numbers, ranges, steps and names, and the numbers that it means; `a/n` goes up to `end`."""
    end = end or high
    number = st.integers(low, high)
    texts, meant = [], set()
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["number", "range", "step", "name", "tail"]))
        a, b = sorted((draw(number), draw(number)))
        n = draw(st.integers(1, 9))
        if kind == "name" and names:
            name = draw(st.sampled_from(sorted(names)))
            texts.append(name)
            meant.add(names[name])
        elif kind == "range":
            texts.append(f"{a}-{b}")
            meant |= set(range(a, b + 1))
        elif kind == "step":
            texts.append(f"{a}-{b}/{n}")
            meant |= set(range(a, b + 1, n))
        elif kind == "tail":
            texts.append(f"{a}/{n}")
            meant |= set(range(a, end + 1, n))
        else:
            texts.append(str(a))
            meant.add(a)
    return ",".join(texts), meant


@st.composite
def numbered(draw: st.DrawFn, low: int, high: int, starred: bool, names: dict[str, int] | None = None) -> Field:
    if starred:
        n = draw(st.integers(1, high))
        return Field("*" if n == 1 else f"*/{n}", lambda _: True, frozenset(range(low, high + 1, n)))
    text, meant = plain_field(draw, low, high, names)
    return Field(text, lambda _: True, frozenset(meant))


def last_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def last_working(day: date) -> bool:
    working = [n for n in range(1, last_of(day) + 1) if day.replace(day=n).weekday() < 5]
    return day.day == working[-1]


@st.composite
def days_of_month(draw: st.DrawFn) -> Field:
    text, meant = plain_field(draw, 1, 31)
    n = draw(st.integers(2, 12))
    fields = [
        Field("*", lambda _: True), Field("L", lambda day: day.day == last_of(day)), Field("LW", last_working),
        Field(f"*/{n}", lambda day: (day.day - 1) % n == 0), *[Field(text, lambda day: day.day in meant)] * 2,
    ]  # fmt: skip
    return draw(st.sampled_from(fields))


@st.composite
def weekdays(draw: st.DrawFn) -> Field:
    text, meant = plain_field(draw, 0, 7, DAY_NAMES)
    weekday, n = draw(st.integers(0, 7)), draw(st.integers(1, 5))

    def is_it(day: date) -> bool:
        return day.isoweekday() % 7 == weekday % 7

    fields = [
        Field("*", lambda _: True), Field(f"{weekday}L", lambda day: is_it(day) and day.day + 7 > last_of(day)),
        Field(f"{weekday}#{n}", lambda day: is_it(day) and (day.day - 1) // 7 + 1 == n),
        *[Field(text, lambda day: day.isoweekday() % 7 in {number % 7 for number in meant})] * 2,
    ]  # fmt: skip
    return draw(st.sampled_from(fields))


@dataclass(frozen=True)
class Expression:
    """Five fields, and a day-by-day answer to when they fall due."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        return " ".join(f.text for f in (self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def by_the_wall(self) -> bool:
        return self.minute.starred or self.hour.starred

    def on(self, day: date) -> bool:
        if day.month not in self.month.numbers:
            return False
        either = self.day.holds(day), self.weekday.holds(day)
        return all(either) if self.day.starred or self.weekday.starred else any(either)

    def slots(self, start: float, end: float, zone: ZoneInfo) -> list[float]:
        first = datetime.fromtimestamp(start, zone).date() - timedelta(days=2)
        last = datetime.fromtimestamp(end, zone).date() + timedelta(days=2)
        days = [day for n in range((last - first).days + 1) if self.on(day := first + timedelta(days=n))]
        found = set(self._by_the_wall(days, zone) if self.by_the_wall else self._at_fixed_times(days, zone))
        return sorted(instant for instant in found if start < instant <= end)

    def _by_the_wall(self, days: list[date], zone: ZoneInfo) -> Iterator[float]:
        for day in days:
            begin = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() // 60)
            for minute in range(begin - 120, begin + 26 * 60):
                local = datetime.fromtimestamp(minute * 60, zone)
                if local.date() == day and local.minute in self.minute.numbers and local.hour in self.hour.numbers:
                    yield minute * 60.0

    def _at_fixed_times(self, days: list[date], zone: ZoneInfo) -> Iterator[float]:
        for day in days:
            for hour in self.hour.numbers:
                for minute in self.minute.numbers:
                    local = datetime(day.year, day.month, day.day, hour, minute)
                    while skipped(local, zone):
                        local += timedelta(minutes=1)
                    yield local.replace(tzinfo=zone).timestamp()  # fold 0: the first pass


def skipped(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the clock on the wall never shows this."""
    there = datetime.fromtimestamp(local.replace(tzinfo=zone).timestamp(), zone)
    return there.replace(tzinfo=None) != local


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    star = draw(st.sampled_from(["", "minute", "hour", "both"]))
    every_month = Field("*", lambda _: True, frozenset(range(1, 13)))
    return Expression(
        draw(numbered(0, 59, star in ("minute", "both"))),
        draw(numbered(0, 23, star in ("hour", "both"))),
        draw(days_of_month()),
        draw(st.just(every_month) | numbered(1, 12, False, MONTH_NAMES)),
        draw(weekdays()),
    )
