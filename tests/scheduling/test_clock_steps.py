"""Clocks that are set, machines that sleep, zones and their changes: one job a slot, and nothing stands still."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from duey import cron, every
from duey.control.schedules import ScheduleRequest
from duey.model.schedule import ScheduleRow
from duey.scheduling.edits import EDITED
from tests.scheduling.conftest import both
from tests.scheduling.simulation import START, Make, moment
from tests.support import rounds

HOUR, DAY = 3600, 86400
TENS = "*/10 * * * *"


# clocks that are set, machines that sleep


@pytest.mark.parametrize(("backend", "restarted"), [("sqlite", False), ("sqlite", True), ("redis", True)])
def test_a_clock_set_back_an_hour_repeats_nothing_and_stands_still_nowhere(world: Make, restarted: bool):
    w = world({"a": cron(TENS), "b": every(600), "c": lambda m: m.minute % 10 == 0})
    s = w.scheduler()
    w.run(3 * HOUR, s)
    w.go(-HOUR + (5 if restarted else 0))
    w.run(2 * HOUR, w.scheduler() if restarted else s)
    tens = [600.0 * n for n in range(1, 25)]
    assert w.ran("a") == tens and w.ran("c") == tens
    assert len(w.ran("b")) in (29, 30), "it goes on counting"
    assert set(w.jobs().values()) == {1}


def test_a_clock_set_back_years_does_not_stop_the_schedules(world: Make):
    w = world({"a": cron(TENS), "b": every(600)}, at=START + 3 * 365 * DAY)
    w.run(60, w.scheduler())
    w.at = START
    w.run(HOUR, w.scheduler())
    assert w.ran("a")[:6] == [600.0 * n for n in range(1, 7)] and len(w.ran("b")) >= 5


def test_a_look_that_takes_long_is_no_clock_that_was_set(world: Make, caplog: pytest.LogCaptureFixture):
    """Over a network that loses packets, a consumer may read after seconds what others have fired meanwhile."""
    w = world({"a": every(2)})
    near, far = w.scheduler(), w.scheduler()
    w.run(10, near, far)
    store = far._schedule_store

    class FarAway:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def schedules(self) -> list[ScheduleRow]:
            w.run(10, near)
            return store.schedules()

    far._schedule_store = FarAway()
    far.tick()
    assert "set back" not in caplog.text
    w.run(10, near)
    assert w.ran("a") == [2.0 * n for n in range(1, 16)] and set(w.jobs().values()) == {1}


@both
def test_a_machine_that_slept_or_a_clock_set_forward_an_hour_and_back_again(world: Make):
    w = world({"a": cron(TENS)})
    s = w.scheduler()
    w.run(HOUR, s)
    w.go(HOUR + 65)
    w.run(1, s)
    assert w.outcomes("a")[6:] == [(4200.0 + 600 * n, "missed") for n in range(5)] + [(7200.0, "deferred")]
    assert w.slots("a")[6].reason == "this machine slept, or its clock was set, 01:00-02:01 (UTC)"
    w.go(-HOUR)
    w.run(2 * HOUR, s)
    assert w.ran("a") == [600.0 * n for n in range(1, 19)], "what was missed runs when its time really comes"
    assert set(w.jobs().values()) == {1}


def test_clocks_of_two_hosts_that_differ_by_seconds(world: Make):
    w = world({"a": cron("* * * * *"), "b": every(60)})
    ahead, behind = w.scheduler(), w.scheduler()
    for _ in range(120):
        w.at += 5
        w.settle(ahead)
        w.at -= 3  # the other one's clock
        w.settle(behind)
        w.at += 3
        w.work()
    assert set(w.jobs().values()) == {1} and w.ran("a") == [60.0 * n for n in range(1, 11)]
    assert len(w.ran("b")) == 9


@both
def test_what_a_clock_that_was_ahead_has_left_behind_stops_nothing(world: Make):
    """The host that was 2 h ahead has gone, or was set right, while the schedulers of others lived."""
    w = world({"a": cron("* * * * *"), "b": every(2)})
    right = w.scheduler()
    w.run(60, right)
    w.go(2 * HOUR)
    w.settle(w.scheduler())
    w.go(-2 * HOUR)
    before = len(w.ran("b"))
    w.run(180, right)
    assert 88 <= len(w.ran("b")) - before <= 91 and set(w.jobs().values()) == {1}
    assert [at for at in w.ran("a") if at < 300] == [60.0, 120.0, 180.0, 240.0]


# zones and changes


@pytest.mark.soak
@pytest.mark.parametrize("zone", rounds(["Australia/Lord_Howe"], soak=["Europe/Zagreb", "Australia/Lord_Howe"]))
def test_a_year_in_a_zone_has_one_job_a_day(world: Make, zone: str):
    since, until = rounds(("2026-09-01", "2026-11-01"), soak=("2026-01-01", "2027-01-01"))  # both with a change
    tables = {"a": cron("30 2 * * *"), "b": cron("15 1,2 * * *")}
    w = world(tables, schedule_timezone=zone, at=moment(f"{since} 00:00", zone))
    s = w.scheduler()
    while w.at < moment(f"{until} 00:00", zone):
        w.at = w.settle(s, 1e9)
        w.work()
    first, last = (datetime.fromisoformat(day).toordinal() for day in (since, until))
    assert (len(w.jobs()), set(w.jobs().values())) == (3 * (last - first), {1})
    days = [datetime.fromtimestamp(slot.at, ZoneInfo(zone)).toordinal() for slot in w.slots("a")]
    assert days == list(range(first, last))


@both
def test_another_zone_moves_the_slots_and_runs_what_fell_between(world: Make):
    """03:00 in Zagreb is 01:00 UTC in summer."""
    table, local = {"a": cron("0 3 * * *")}, {"a": cron("0 3 * * *", tz="Europe/Zagreb")}
    w = world(table)
    for name, tz in (("own", "UTC"), ("none", None)):
        w.control.schedules.make(name, ScheduleRequest("work", cron="0 3 * * *", tz=tz))
    older = w.storage.schedule_store.schedules("none")[0]
    assert w.storage.schedule_store.replace(older, older.spec.replace(', "moved": {"to": "UTC"}', ""), older.last)
    w.run(DAY + 2 * HOUR, w.scheduler(table))
    w.settings["schedule_timezone"] = "Europe/Zagreb"
    w.run(DAY, w.scheduler(local))
    w.run(DAY, w.scheduler(local))  # nothing is new to one that starts later
    moved = "late by 1 hour: its time zone was changed from UTC to Europe/Zagreb after that"
    for name in ("a", "none"):
        assert [each / HOUR for each in w.ran(name)] == [3, 25, 49, 73], "the day of the change has its run, late"
        assert [slot.reason for slot in w.slots(name)] == [None, moved, None, None]
    assert w.ran("own") == [each * HOUR for each in (3, 27, 51)]
    w.settings["schedule_timezone"] = "UTC"
    w.run(DAY, w.scheduler(table))
    assert [each / HOUR for each in w.ran("a")] == [3, 25, 49, 73, 75] and set(w.jobs().values()) == {1}


@both
def test_another_expression_counts_from_now_and_what_was_due_by_the_old_one_is_on_record(world: Make):
    w = world({"a": cron("0 3 * * *"), "paused": cron("0 3 * * *"), "policy": every(7200)})
    s = w.scheduler()
    for name in ("made", "kept"):
        w.control.schedules.make(name, ScheduleRequest("work", cron="0 3 * * *"))
    w.run(DAY, s)
    w.control.schedules.pause(w.name("paused"))
    w.go(2 * DAY + 4 * HOUR)  # nobody runs; meanwhile it is edited at run time, and in the code
    w.control.schedules.change("made", ScheduleRequest("work", cron="0 * * * *"))
    w.control.schedules.change("kept", ScheduleRequest("work", (1,), cron="0 3 * * *"))
    new = {"a": cron("0 * * * *"), "paused": every(7200), "policy": every(7200, overlap="allow", catch_up="once")}
    w.run(2 * HOUR, w.scheduler(new))
    missed = [27.0, 51.0, 75.0]
    for name in ("a", "made"):
        expected = [(3, "deferred"), *((at, "missed") for at in missed), (77, "deferred"), (78, "deferred")]
        assert [(at / HOUR, outcome) for at, outcome in w.outcomes(name)] == expected
        assert {slot.reason for slot in w.slots(name)[1:4]} == {EDITED}
    expected = [(3, "deferred"), *((at, "skipped") for at in missed)]
    assert [(at / HOUR, outcome) for at, outcome in w.outcomes("paused")][:4] == expected
    assert w.ran("kept")[-1] / HOUR == 75, "the same expression: that one is caught up"
    assert [at / HOUR for at in w.ran("policy")][-3:] == [24, 76, 78], "another policy changes nothing about last"
    w.control.schedules.run_now("made", START + 75 * HOUR)
    assert (75.0 * HOUR, "deferred") in w.outcomes("made")


@both
def test_an_edit_beside_a_scheduler_loses_and_repeats_nothing(world: Make):
    w = world({})
    s = w.scheduler()
    names = [f"s{n}" for n in range(20)]
    for name in names:
        w.control.schedules.make(name, ScheduleRequest("work", every_s=60))
    w.run(59, s)
    w.go(1)
    change = w.control.schedules.change
    edits = threading.Thread(target=lambda: [change(name, ScheduleRequest("work", every_s=90)) for name in names])
    edits.start()
    w.settle(s)
    edits.join(60)
    w.settle(s)
    for name in names:
        assert w.outcomes(name) in ([(60.0, "deferred")], [(60.0, "missed")])
        assert w.slots(name)[0].reason in (None, EDITED)
    w.run(90, s)
    assert all(w.ran(name)[-1] == 150.0 for name in names) and set(w.jobs().values()) == {1}


def test_what_an_older_version_put_on_record_is_the_same_expression(world: Make):
    tables = {"a": every(2 * 7 * DAY), "b": cron("0 3 * * *"), "c": every(90, first_in=5)}
    w = world(tables)
    w.settle(w.scheduler())
    store = w.storage.schedule_store
    for text, name in (("every 1.2096e+06 s", "a"), ("0 3 * * *", "b"), ("every 90 s, first in 5 s", "c")):
        (row,) = [row for row in store.schedules() if row.name == w.name(name)]
        assert store.replace(row, json.dumps({"text": text, "words": "", "tz": "UTC"}), START - 77)
    w.go(1)
    s = w.scheduler()
    before = {row.name: row.last for row in store.schedules()}
    s.tick()
    for row in store.schedules():
        assert row.last >= before[row.name] and json.loads(row.spec).keys() & {"cron", "every"}
    assert set(before.values()) == {START - 77}
