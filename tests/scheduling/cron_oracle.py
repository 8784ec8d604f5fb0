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
def numbered(draw: st.DrawFn, low: int, high: int, starred: bool) -> Field:
    if starred:
        n = draw(st.integers(1, high))
        return Field("*", lambda _: True, frozenset(range(low, high + 1))) if n == 1 else Field(
            f"*/{n}", lambda _: True, frozenset(range(low, high + 1, n))
        )  # fmt: skip
    text, meant = plain_field(draw, low, high)
    return Field(text, lambda _: True, frozenset(meant))


def last_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def last_working(day: date) -> bool:
    working = [n for n in range(1, last_of(day) + 1) if day.replace(day=n).weekday() < 5]
    return day.day == working[-1]


@st.composite
def days_of_month(draw: st.DrawFn) -> Field:
    kind = draw(st.sampled_from(["*", "L", "LW", "*/n", "plain", "plain"]))
    if kind == "*":
        return Field("*", lambda _: True)
    if kind == "L":
        return Field("L", lambda day: day.day == last_of(day))
    if kind == "LW":
        return Field("LW", last_working)
    if kind == "*/n":
        n = draw(st.integers(2, 12))
        return Field(f"*/{n}", lambda day: (day.day - 1) % n == 0)
    text, meant = plain_field(draw, 1, 31)
    return Field(text, lambda day: day.day in meant)


@st.composite
def weekdays(draw: st.DrawFn) -> Field:
    kind = draw(st.sampled_from(["*", "last", "nth", "plain", "plain"]))
    if kind == "*":
        return Field("*", lambda _: True)
    weekday = draw(st.integers(0, 7))

    def is_it(day: date) -> bool:
        return day.isoweekday() % 7 == weekday % 7

    if kind == "last":
        return Field(f"{weekday}L", lambda day: is_it(day) and day.day + 7 > last_of(day))
    if kind == "nth":
        n = draw(st.integers(1, 5))
        return Field(f"{weekday}#{n}", lambda day: is_it(day) and (day.day - 1) // 7 + 1 == n)
    text, meant = plain_field(draw, 0, 7, DAY_NAMES)
    return Field(text, lambda day: day.isoweekday() % 7 in {n % 7 for n in meant})


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
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        found = set(self._by_the_wall(start, end, zone) if self.by_the_wall else self._at_fixed_times(days, zone))
        return sorted(instant for instant in found if start < instant <= end)

    def _by_the_wall(self, start: float, end: float, zone: ZoneInfo) -> Iterator[float]:
        for minute in range(int(start // 60), int(end // 60) + 1):
            local = datetime.fromtimestamp(minute * 60, zone)
            if local.minute in self.minute.numbers and local.hour in self.hour.numbers and self.on(local.date()):
                yield minute * 60.0

    def _at_fixed_times(self, days: list[date], zone: ZoneInfo) -> Iterator[float]:
        for day in filter(self.on, days):
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
def months(draw: st.DrawFn) -> Field:
    if draw(st.booleans()):
        return Field("*", lambda _: True, frozenset(range(1, 13)))
    text, meant = plain_field(draw, 1, 12, MONTH_NAMES)
    return Field(text, lambda _: True, frozenset(meant))


@st.composite
def expressions(draw: st.DrawFn, by_the_wall: bool | None = None) -> Expression:
    star = draw(st.sampled_from(["minute", "hour", "both"])) if by_the_wall else ""
    if by_the_wall is None:
        star = draw(st.sampled_from(["", "minute", "hour", "both"]))
    return Expression(
        draw(numbered(0, 59, star in ("minute", "both"))),
        draw(numbered(0, 23, star in ("hour", "both"))),
        draw(days_of_month()),
        draw(months()),
        draw(weekdays()),
    )
