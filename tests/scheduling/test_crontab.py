"""crontab(): Huey's meaning to the minute, and strict about what Huey lets pass."""

from __future__ import annotations

import json
import warnings
from datetime import datetime, timezone

import huey
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duey.control.schedules import ScheduleRequest
from duey.errors import BadSchedule, Misconfigured
from duey.model.schedule import ScheduleRow
from duey.scheduling.huey_crontab import RANGES, crontab, read_back
from duey.scheduling.timetable import cron
from tests.scheduling.simulation import START, Make, moment
from tests.support import rows

FIELDS = tuple(RANGES)


@st.composite
def hueys_field(draw: st.DrawFn, name: str) -> str | int:
    """What Huey's documentation allows in a field."""
    low, high = RANGES[name][0], 7 if name == "day_of_week" else RANGES[name][-1]
    number = st.integers(low, high)
    if draw(st.booleans()):
        return draw(st.sampled_from(["*", draw(number)]))
    pieces = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["number", "range", "range/n", "*", *(["*/n"] if name != "day_of_week" else [])]))
        a, b, n = draw(number), draw(number), draw(st.integers(1, min(20, len(RANGES[name]))))
        texts = {"number": f"{a}", "range": f"{a}-{b}", "range/n": f"{a}-{b}/{n}", "*": "*", "*/n": f"*/{n}"}
        pieces.append(texts[kind])
    return ",".join(pieces)


calls = st.fixed_dictionaries({name: hueys_field(name) for name in FIELDS})


def hueys(call: dict[str, object]):
    """Huey's own function, None where Huey itself sees no such minute."""
    try:
        return huey.crontab(**call, strict=True)
    except ValueError:
        return None


@given(calls, st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), min_size=20, max_size=20))
def test_it_means_what_huey_means(call: dict[str, object], moments: list[datetime]):
    theirs = hueys(call)
    try:
        ours = crontab(**call)
    except Misconfigured as exc:  # no such day: Huey would say no for ever
        assert theirs is None or "such" in str(exc)
        return
    assert theirs is not None
    back = read_back(theirs)
    assert back is not None
    for each in moments:
        near = ours.after(each.replace(tzinfo=timezone.utc).timestamp(), "UTC")
        slot = datetime.fromtimestamp(near or 0, timezone.utc).replace(tzinfo=None)
        for minute in (each, slot):
            assert ours(minute) == bool(theirs(minute)) == back(minute), call
        assert theirs(slot)


def test_day_and_weekday_must_both_match_where_cron_takes_either():
    friday = crontab(minute="0", hour="0", day="13", day_of_week="5")
    assert friday.after(moment("2026-01-01"), "UTC") == moment("2026-02-13")
    assert cron("0 0 13 * 5").after(moment("2026-01-01"), "UTC") == moment("2026-01-02")
    assert friday.words.endswith(", if it is a Friday")
    # A day that comes once in 28 years is found among many minutes, and one that never comes is refused.
    rare = crontab(minute="*", day="29", month="2", day_of_week="1")
    assert rare.after(moment("2025-01-01"), "UTC") == moment("2044-02-29")
    with pytest.raises(Misconfigured, match="no month that it names has such a day"):
        crontab(minute="0", hour="0", day="30", month="2")


@rows(
    ("field", "value", "piece"),
    [
        ("minute", "*/15,foo", "'foo'"), ("minute", "60", "'60'"), ("minute", 60, "'60'"), ("minute", "*/0", "'*/0'"),
        ("minute", "*/", "'*/'"), ("minute", "1,,2", "''"), ("minute", " 1", "' 1'"), ("minute", "5-70", "'5-70'"),
        ("minute", True, "'True'"), ("minute", 1.5, "'1.5'"), ("hour", "24", "'24'"), ("hour", None, "'None'"),
        ("hour", "", "''"), ("day", "0", "'0'"), ("day", "L", "'L'"), ("month", "jan", "'jan'"),
        ("day_of_week", "mon", "'mon'"), ("day_of_week", "*/2", "'*/2'"), ("day_of_week", "8", "'8'"),
    ],
)  # fmt: skip
def test_a_bad_piece_is_named(field: str, value: object, piece: str):
    call = {"minute": "0", field: value}
    with pytest.raises(Misconfigured) as refused:
        crontab(**call, strict=False)  # Huey's own switch does not make it lax
    said = str(refused.value)
    assert said.startswith(f"crontab({field}={value!r}): expected") and said.endswith(f"found {piece}")


def test_an_hour_without_a_minute_warns_also_in_huey_s_own_crontab(world: Make):
    def periodic(**fields: str) -> None:
        w.huey.periodic_task(huey.crontab(**fields), name=f"task {len(w.huey._registry._periodic_tasks)}")(lambda: None)

    w = world({})
    for make in (crontab, periodic):
        sentence = "hour='3,15'\\) without minute= runs in each minute of that hour"
        with pytest.warns(UserWarning, match=sentence) as caught:
            make(hour="3,15")
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make(minute="0", hour="3")
            make(day="1")
            make()
    crontab(minute="*", hour="3")  # which Huey's own cannot tell from none
    crontab("0", "3")


@rows(
    ("call", "text"),
    [
        ({"minute": "0", "hour": "3"}, "0 3 * * *"),
        ({"minute": "*/15"}, "*/15 * * * *"),
        ({"minute": 5, "day_of_week": "5-1"}, "5 * * * 0,1,5,6"),
        ({"minute": "0", "hour": "22-4"}, "0 0-4,22,23 * * *"),
        ({"minute": "0", "day_of_week": "7"}, "0 * * * 0"),
        ({"minute": "0,30", "hour": "2"}, "0,30 2 * * *"),
        ({"minute": "0", "hour": "0", "day": "1-7", "day_of_week": "1,2"}, "0 0 1-7 * * and mon,tue"),
    ],
)
def test_it_reads_as_cron(call: dict[str, object], text: str):
    assert crontab(**call).text == text
    back = read_back(huey.crontab(**call))
    assert back is not None and back.text == text


def test_options_shortcuts_and_daylight_saving():
    table = crontab(minute="0", hour="3", tz="Asia/Tokyo", catch_up="all", overlap="queue", window_s=60)
    assert (table.tz, table.catch_up, table.overlap, table.window_s) == ("Asia/Tokyo", "all", "queue", 60)
    shortcuts = (crontab.hourly(), crontab.daily(), crontab.daily(hour="4"))
    assert [each.text for each in shortcuts] == ["0 * * * *", "0 0 * * *", "0 4 * * *"]
    for other in (lambda moment: True, crontab, None):  # not taken for Huey's
        assert read_back(other) is None
    night, three = (moment(f"2026-03-29 {at}", "Europe/Zagreb") for at in ("01:59", "03:00"))
    assert crontab(minute="0,30", hour="2").after(night, "Europe/Zagreb") == three  # by what was written
    assert crontab(minute="*/30", hour="2").after(night, "Europe/Zagreb") != three


def test_a_step_that_leads_out_of_its_range_leaves_its_first_number_as_in_vixie_s_cron():
    for expression, plain, words in (
        ("10-10/5 * * * *", "10 * * * *", "At minute 10 of every hour"),
        ("1-5/90,30 * * * *", "1,30 * * * *", "At minutes 1 and 30 of every hour"),
        ("0 9 * * Mon-mon/2", "0 9 * * mon", "At 09:00 on Monday"),
        ("0 0 1 jan-3/5 *", "0 0 1 1 *", "At 00:00 on January 1"),
        ("*/60 */24 * * *", "0 0 * * *", "At 00:00 every day"),
        ("0 0 31 * *", "0 0 31 * *", "At 00:00 on the 31st day of every month"),
        ("0 0 1,11,12,13,22,23 * *", "0 0 1,11,12,13,22,23 * *", None),
    ):
        table, same, start = cron(expression), cron(plain), START
        for _ in range(30):
            start, other = table.after(start, "UTC"), same.after(start, "UTC")
            assert start == other and start is not None, expression
        assert words is None or table.words == words
    assert "the 11th, the 12th, the 13th, the 22nd, and the 23rd day" in cron("0 0 1,11,12,13,22,23 * *").words
    assert cron("10-20/5 * * * *").words.endswith("from 10 through 20 of every hour")


def test_a_step_larger_than_its_field_is_refused_where_it_is_written(world: Make):
    for fields, mend in (
        (("*/90", "*", "*", "*"), "found '*/90', which is only ever 0: write 0, or every(5400)"),
        (("0", "*/25", "*", "*"), "write 0, or every(90000)"),
        (("0", "0", "*/32", "*"), "write 1, or every(2764800)"),
        (("0", "0", "1", "*/13"), "write 1"),
    ):
        for make in (lambda fields=fields: cron(f"{' '.join(fields)} *"), lambda fields=fields: crontab(*fields)):
            with pytest.raises(Misconfigured) as refused:
                make()
            assert mend in str(refused.value)
    w = world({})
    with pytest.raises(BadSchedule, match="every"):
        w.control.schedules.make("a", ScheduleRequest("work", cron="*/90 * * * *"))
    stored = json.dumps({"task": w.full("work"), "call": "[[],{}]", "cron": "*/90 * * * *"})
    w.storage.schedule_store.add(ScheduleRow("old", "made", stored, False, START, START))
    assert len(w.control.schedules.get("old").next_at) == 5, "one that was on record before goes on"
