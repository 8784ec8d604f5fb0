"""cron() against a brute-force oracle over years and zones; every(), at() and functions."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duey import clock
from duey.errors import Misconfigured
from duey.scheduling.cron_text import duration
from duey.scheduling.timetable import MINUTES_TRIED, At, Cron, Minutes, at, cron, every
from tests.scheduling.cron_oracle import Expression, expressions
from tests.scheduling.simulation import moment
from tests.support import rows

DAY_S = 86400
ZONES = (
    "UTC", "Europe/Zagreb", "America/New_York", "America/St_Johns", "Australia/Lord_Howe",  # half an hour
    "Africa/Cairo", "America/Santiago",  # midnight is skipped, and repeated
    "Asia/Kathmandu", "Pacific/Apia",
)  # fmt: skip


def days(expression: str, start: str, end: str) -> list[str]:
    """The days of all slots between two days, in UTC."""
    found = slots(cron(expression), moment(start), moment(end))
    return [f"{datetime.fromtimestamp(instant, timezone.utc):%Y-%m-%d}" for instant in found]


def slots(table: Cron, start: float, end: float, zone: str = "UTC") -> list[float]:
    """All slots after `start` up to `end`."""
    found: list[float] = []
    instant = table.after(start, zone)
    while instant is not None and instant <= end:
        assert instant > (found[-1] if found else start), "slots go forward"
        found.append(instant)
        instant = table.after(instant, zone)
    return found


def made(expression: Expression) -> Cron | None:
    """The timetable, None where cron() says that no such day will come, which the oracle has to confirm."""
    try:
        return cron(expression.text)
    except Misconfigured as exc:
        assert "such" in str(exc) and "day" in str(exc), exc
        assert not any(expression.on(date(2024, 1, 1) + timedelta(days=n)) for n in range(4 * 366))
        return None


def changes_of(zone: str, year: int) -> list[float]:
    """The hours in which the zone's clock is set."""
    tz, start = ZoneInfo(zone), moment(f"{year}-01-01 00:00")

    def is_set(begin: float, end: float) -> bool:
        return datetime.fromtimestamp(begin, tz).utcoffset() != datetime.fromtimestamp(end, tz).utcoffset()

    days = [day for day in (start + n * DAY_S for n in range(366)) if is_set(day, day + DAY_S)]
    return [
        hour + 3600 for day in days for hour in range(int(day), int(day) + DAY_S, 3600) if is_set(hour, hour + 3600)
    ]


NEAR_CHANGES = [(zone, at) for zone in ZONES for year in (2011, 2026) for at in changes_of(zone, year)]


@given(expressions(), st.sampled_from(NEAR_CHANGES), st.integers(-36 * 60, 0))
def test_cron_is_the_oracle_where_clocks_are_set(expression: Expression, change: tuple[str, float], before: int):
    zone, instant = change
    table = made(expression)
    if table is not None:
        start = instant + before * 60.0
        end = start + 40 * 3600
        assert slots(table, start, end, zone) == expression.slots(start, end, ZoneInfo(zone)), expression.text


@given(expressions(), st.sampled_from(ZONES), st.integers(1995, 2035), st.integers(0, 366 * DAY_S))
def test_cron_is_the_oracle_over_years(expression: Expression, zone: str, year: int, offset: int):
    table = made(expression)
    if table is None:
        return
    start = moment(f"{year}-01-01 00:00") + offset
    end = start + 3 * 366 * DAY_S
    expected: list[float] = []
    for month in range(37):  # one by one, since the first says enough of an expression that names most minutes
        since = start + month * 30 * DAY_S
        expected += expression.slots(since, min(since + 30 * DAY_S, end), ZoneInfo(zone))
        if len(expected) > 300:
            end = expected[299]
            expected = expected[:300]
            break
    assert slots(table, start, end, zone) == expected, expression.text
    assert len(table.words) > 5 and table.text == expression.text
    for instant in [start // 60 * 60, *expected[:5]]:  # Huey's question
        utc = datetime.fromtimestamp(instant, timezone.utc)
        assert table(utc.replace(tzinfo=None)) == (table.after(instant - 1, "UTC") == instant)


# where daylight saving begins and ends, by hand


@rows(
    ("zone", "expression", "day", "expected"),
    [
        # 02:00 becomes 03:00
        ("Europe/Zagreb", "30 2 * * *", "2026-03-29", ["03:00"]),
        ("Europe/Zagreb", "0,15,30 2 * * *", "2026-03-29", ["03:00"]),
        ("Europe/Zagreb", "30 1,2,3 * * *", "2026-03-29", ["01:30", "03:00", "03:30"]),
        ("Europe/Zagreb", "0 * * * *", "2026-03-29", [f"{h:02}:00" for h in range(24) if h != 2]),
        ("Europe/Zagreb", "*/30 2 * * *", "2026-03-29", []),
        ("America/New_York", "30 2 * * *", "2026-03-08", ["03:00"]),
        ("America/New_York", "59 2 * * sun", "2026-03-08", ["03:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", ["02:30"]),
        ("Africa/Cairo", "0 0 * * *", "2026-04-24", ["01:00"]),
        ("Africa/Cairo", "*/20 0 * * *", "2026-04-24", []),
        # 03:00 becomes 02:00
        ("Europe/Zagreb", "30 2 * * *", "2026-10-25", ["02:30"]),
        ("Europe/Zagreb", "30 1,2,3 * * *", "2026-10-25", ["01:30", "02:30", "03:30"]),
        ("Europe/Zagreb", "*/30 2 * * *", "2026-10-25", ["02:00", "02:30", "02:00", "02:30"]),
        ("America/New_York", "30 1 * * *", "2026-11-01", ["01:30"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05", ["01:45"]),
    ],
)
def test_daylight_saving(zone: str, expression: str, day: str, expected: list[str]):
    start, tz = moment(f"{day} 00:00", zone) - 1, ZoneInfo(zone)
    end = moment(f"{date.fromisoformat(day) + timedelta(days=1)} 00:00", zone) - 1
    found = [f"{datetime.fromtimestamp(instant, tz):%H:%M}" for instant in slots(cron(expression), start, end, zone)]
    assert found == expected


def test_what_falls_into_a_repeated_hour_runs_in_its_first_pass_also_after_a_restart_in_the_second():
    table = cron("30 2 * * *")
    first, second = (moment("2026-10-25 02:30", "Europe/Zagreb", fold) for fold in (0, 1))
    assert table.after(first - 1, "Europe/Zagreb") == first and second == first + 3600
    for instant in (first, second - 600, second, second + 600):
        assert table.after(instant, "Europe/Zagreb") == moment("2026-10-26 02:30", "Europe/Zagreb")


def test_leap_days_and_month_ends():
    assert days("0 0 29 2 *", "1970-01-01", "2030-01-01") == [f"{year}-02-29" for year in range(1972, 2030, 4)]
    assert days("0 0 L * *", "2027-12-15", "2028-04-01") == ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]
    assert days("0 0 LW * *", "2026-01-01", "2026-04-01") == ["2026-01-30", "2026-02-27", "2026-03-31"]
    assert cron("0 0 31 * *").after(moment("2026-03-31"), "UTC") == moment("2026-05-31")


def test_zones_seconds_and_macros():
    zagreb, july = "Europe/Zagreb", moment("2026-07-01")
    own = cron("0 3 * * *", tz="Asia/Kathmandu")  # goes before the service's
    assert own.after(july, zagreb) == moment("2026-07-02 03:00", "Asia/Kathmandu")
    assert cron("0 3 * * *").after(july, zagreb) == moment("2026-07-01 03:00", zagreb)
    table, five = cron("*/5 * * * *"), moment("2026-01-01 00:05")  # seconds and fractions do not shift slots
    assert [table.after(five + d, "UTC") for d in (-300, -0.001, 0, 0.001, 299.999)] == [five, five] + [five + 300] * 3
    macros = {"@daily": "0 0 * * *", " @Weekly ": "0 0 * * 0", "@hourly": "0 * * * *", "@yearly": "0 0 1 1 *"}
    for macro, plain in macros.items():
        assert cron(macro).after(july, "UTC") == cron(plain).after(july, "UTC"), macro
        assert cron(macro).words == cron(plain).words and cron(macro).text == macro


@rows(
    ("expression", "words"),
    [
        ("0 3 * * mon-fri", "At 03:00 on Monday through Friday"),
        ("*/5 * * * *", "Every fifth minute of every hour"),
        ("0 0 L * *", "At 00:00 on the last day of every month"),
        ("@daily", "At 00:00 every day"),
        ("0 9 * * mon#1", "At 09:00 on the first Monday of the month"),
    ],
)
def test_words(expression: str, words: str):
    assert cron(expression).words == words


# refused


@rows(
    ("expression", "names"),
    [
        ("61 * * * *", ("minute", "0 to 59", "'61'")), ("0 24 * * *", ("hour", "0 to 23", "'24'")),
        ("0 0 0 * *", ("day of the month", "'0'")), ("0 0 * foo *", ("month", "jan", "'foo'")),
        ("0 0 * * mon-foo", ("weekday", "'mon-foo'")), ("0 0 * * mon#6", ("weekday", "'mon#6'")),
        ("1,,2 * * * *", ("minute", "''")), ("*/0 * * * *", ("minute", "'*/0'")),
        ("5-1 * * * *", ("minute", "'5-1'")), ("0 0 * * 9" + "9" * 100, ("weekday",)),
        ("0 0 30 2 *", ("no month that it names has such a day",)), ("0 0 * * *  *", ("five fields", "@daily")),
        ("* * * *", ("five fields",)), ("@dayly", ("five fields", "@daily", "'@dayly'")), ("", ("five fields",)),
        ("0" * 5000, ("five fields", "5002 characters")), (17, ("five fields", "17")),
        (None, ("five fields", "None")),
    ],
)  # fmt: skip
def test_a_bad_expression_is_refused_in_one_sentence(expression: str, names: tuple[str, ...]):
    with pytest.raises(Misconfigured) as refused:
        cron(expression)
    said = str(refused.value)
    assert all(name in said for name in names) and "\n" not in said and len(said) < 600


@given(st.text("0123456789*/,-#LW@ monfrja\n²", max_size=20) | st.text(max_size=30))
def test_any_text_is_a_timetable_or_refused(text: str):
    try:
        table = cron(text)
    except Misconfigured as exc:
        assert str(exc)
    else:
        assert table.after(0.0, "UTC") is not None and table.words


@rows(
    ("options", "names"),
    [
        ({"tz": "Europe/Zagreeb"}, ("'Europe/Zagreeb'", "did you mean Europe/Zagreb?")),
        ({"tz": "Europe"}, ("'Europe'",)), ({"tz": "../etc/passwd"}, ("time zone",)), ({"tz": 5}, ("time zone 5",)),
        ({"catch_up": "twice"}, ("skip, once, all", "'twice'")),
        ({"overlap": "maybe"}, ("skip, queue, allow", "'maybe'")), ({"window_s": -1}, ("window_s", "-1")),
        ({"window_s": float("nan")}, ("window_s", "nan")), ({"window_s": True}, ("window_s",)),
    ],
)  # fmt: skip
def test_bad_options_are_refused_in_one_sentence(options: dict[str, object], names: tuple[str, ...]):
    for make in (lambda: cron("@daily", **options), lambda: every(60, **options)):
        with pytest.raises(Misconfigured) as refused:
            make()
        assert all(name in str(refused.value) for name in names)


# every, at, functions


def test_every_counts_from_the_slot_before():
    assert every(90).after(1000.5, "UTC") == 1090.5
    assert (every(90).words, every(90).text) == ("Every 1 minute 30 seconds", "every 90 s")
    assert every(172800, first_in=5).words == "Every 2 days, the first time after 5 seconds"
    for wrong in (0, 0.5, -1, float("nan"), float("inf"), True, "60", None):
        with pytest.raises(Misconfigured, match="every\\(\\) takes seconds"):
            every(wrong)
            pytest.fail(f"accepted {wrong!r}")
    assert [duration(s) for s in (0, 1, 59.5, 60, 3600, 90061, 7 * 86400)] == [
        "0 seconds", "1 second", "59.5 seconds", "1 minute", "1 hour", "1 day 1 hour 1 minute 1 second", "7 days",
    ]  # fmt: skip


@given(st.floats(1, 1e6), st.floats(0, 2e9), st.floats(0, 1e8))
def test_every_keeps_its_rhythm_over_what_is_left_out(seconds: float, last: float, gap: float):
    resumed = every(seconds).resume(last, last + gap)
    assert last <= resumed <= last + gap + 1e-3 and last + gap - resumed < seconds + 1e-3
    assert (resumed - last) / seconds == pytest.approx(round((resumed - last) / seconds), abs=1e-5)


def test_at_is_once():
    table = at(datetime(2026, 7, 1, 12, 0, tzinfo=ZoneInfo("Europe/Zagreb")), tz="Europe/Zagreb")
    noon = moment("2026-07-01 10:00")
    assert [table.after(instant, "UTC") for instant in (0, noon - 1, noon, noon + 1)] == [noon, noon, None, None]
    assert table.words == "Once, at 12:00:00 on 01 July 2026 (Europe/Zagreb)"
    assert table.text == "at 2026-07-01 10:00:00Z"
    assert not table(datetime(2026, 7, 1, 10, 0)) and isinstance(table, At)
    for wrong in (datetime(2026, 7, 1), "2026-07-01", 17):
        with pytest.raises(Misconfigured, match="with a zone"):
            at(wrong)


def test_a_function_is_asked_in_the_zone_s_time_and_looked_ahead_for_two_days(monkeypatch: pytest.MonkeyPatch):
    noon = Minutes(function=lambda local: (local.hour, local.minute) == (12, 0), tz="Europe/Zagreb")
    start = moment("2026-07-01 11:59", "Europe/Zagreb")
    assert noon.after(start, "UTC") == start + 60 and noon.holds(start + 60, "UTC") and not noon.holds(start, "UTC")
    monkeypatch.setattr("duey.scheduling.timetable.AHEAD_S", 60)  # on a busy machine
    asked: list[datetime] = []
    start = clock.now()
    assert Minutes(function=lambda local: bool(asked.append(local))).after(start, "UTC") is None
    assert MINUTES_TRIED <= len(asked) <= MINUTES_TRIED + 2
