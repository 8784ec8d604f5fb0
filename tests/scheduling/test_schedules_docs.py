"""docs/schedules.md: its examples are run, and do what the page says (its commands: test_docs.py)."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import duey
from duey.control.schedules import OUTCOMES
from duey.model.schedule import WAITING_MAX
from duey.scheduling.due import GRACE_S
from duey.scheduling.entry import SLOT_PRIORITY, timetable_of
from duey.scheduling.scheduler import LOOK_S
from duey.scheduling.timetable import Cron, Timetable
from tests.scheduling.simulation import Make, World, moment
from tests.support import rows

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "schedules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def run(world: Make, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples define, all of them run in one namespace."""
    w: World = world({})
    monkeypatch.setattr(duey, "huey", w.huey)
    names: dict[str, Any] = {"__name__": "page"}
    for block in BLOCKS:
        exec(block, names)
    return {**names, "world": w}


def first(table: Timetable, after: str, zone: str = "UTC") -> str:
    """The first slot after a moment, as the zone's clock shows it."""
    slot = table.after(moment(after, zone), zone)
    assert slot is not None
    return f"{datetime.fromtimestamp(slot, ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def expression(text: str) -> Timetable:
    """A timetable that stands on the page, by what it is written as."""
    assert any(text in block for block in BLOCKS), text
    found = eval(text, {**vars(duey)})
    assert isinstance(found, Timetable)
    return found


def test_the_code_s_schedules(run: dict[str, Any]):
    tasks = {cls.__name__: timetable_of(cls) for cls in run["world"].huey._registry._periodic_tasks}
    assert list(tasks) == ["nightly", "morning_report", "poll", "first_of_month", "nightly_report"]
    nightly, morning = tasks["nightly"], tasks["morning_report"]
    assert isinstance(nightly, Cron) and nightly.words == "At 03:30 every day"
    assert isinstance(morning, Cron) and morning.words == "At 09:00 on Monday through Friday"
    assert first(morning, "2026-06-05 10:00", "Europe/Zagreb") == "2026-06-08 09:00"


@rows(
    ("text", "after", "slot"),
    [
        ('cron("@daily")', "2026-06-01 12:00", "2026-06-02 00:00"),
        ('cron("0 0 L * *")', "2026-06-01 12:00", "2026-06-30 00:00"),
        ('cron("0 9 * * mon#1")', "2026-06-02 12:00", "2026-07-06 09:00"),
        ('cron("0 17 * * 5L")', "2026-06-02 12:00", "2026-06-26 17:00"),
        ('cron("0 0 13 * 5")', "2026-06-02 12:00", "2026-06-05 00:00"),
        ('crontab(minute="0", hour="0", day="13", day_of_week="5")', "2026-06-02 12:00", "2026-11-13 00:00"),
        ('crontab(minute="*/15", hour="22-4")', "2026-06-02 04:45", "2026-06-02 22:00"),
    ],
)
def test_expressions(text: str, after: str, slot: str):
    assert first(expression(text), after) == slot


def test_numbers_and_words_of_the_page():
    night = first(expression('cron("30 2 * * *", tz="Europe/Zagreb")'), "2026-03-29 00:00", "Europe/Zagreb")
    assert night == "2026-03-29 03:00"
    assert expression('cron("0 * * * *", catch_up="all", window_s=6 * 3600)').window_s == 6 * 3600
    assert expression('every(60, overlap="queue")').overlap == "queue"
    assert (GRACE_S, SLOT_PRIORITY, WAITING_MAX) == (60, 100, 100) and LOOK_S < 2
    assert "a minute late" in PAGE and "priority 100" in PAGE and "at most 100 wait" in PAGE
    said = PAGE.partition("## Outcomes of a slot")[2]
    assert set(re.findall(r"`([^`]+)`", said)) == set(OUTCOMES)
