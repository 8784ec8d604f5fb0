"""What becomes of slots that fell due while nothing ran, and of those whose run before goes on."""

from __future__ import annotations

from typing import Any

import pytest

from duey import cron, every
from duey.model.schedule import KEPT, WAITING_MAX
from duey.scheduling.due import GRACE_S
from tests.scheduling.conftest import both
from tests.scheduling.simulation import START, Make
from tests.support import rows

HOUR, DAY = 3600, 86400


# catch-up


@both
@pytest.mark.parametrize(("catch_up", "ran"), [("skip", []), ("once", [6.0]), ("all", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])])
def test_six_hours_down(world: Make, catch_up: str, ran: list[float]):
    w = world({"a": cron("0 * * * *", catch_up=catch_up)})
    w.run(1800, w.scheduler())
    w.go(6 * HOUR)
    w.run(10 * 60, w.scheduler())
    assert [each / HOUR for each in w.ran("a")] == ran
    missed = [slot for slot in w.slots("a") if slot.outcome == "missed"]
    assert [(slot.at - START) / HOUR for slot in missed] == [hour for hour in range(1, 7) if hour not in ran]
    assert {slot.reason for slot in missed} <= {"no consumer 00:30-06:30 (UTC)"}
    late = [slot.reason for slot in w.slots("a") if slot.outcome == "deferred"][-1:]
    assert late in ([], ["late by 30 minutes: no consumer 00:30-06:30 (UTC)"])
    w.run(HOUR, w.scheduler())
    assert w.outcomes("a")[-1] == (7.0 * HOUR, "deferred") and set(w.jobs().values()) == {1}


def test_catch_up_is_the_service_s_unless_a_schedule_says_otherwise(world: Make):
    w = world({"a": cron("0 * * * *"), "b": cron("0 * * * *", catch_up="once")}, schedule_catch_up="skip")
    w.run(60, w.scheduler())
    w.go(90 * 60)
    w.run(60, w.scheduler())
    assert (w.ran("a"), w.ran("b")) == ([], [3600.0])


@both
@pytest.mark.parametrize(("catch_up", "ran"), [("once", []), ("all", [5.0, 6.0])])
def test_the_window_bounds_what_is_caught_up_and_not_what_is_on_record(world: Make, catch_up: str, ran: list[float]):
    window_s = 2 * HOUR if catch_up == "all" else 0.25 * HOUR
    w = world({"a": cron("0 * * * *", catch_up=catch_up, window_s=window_s)})
    w.run(60, w.scheduler())
    w.go(6.5 * HOUR)
    w.run(60, w.scheduler())
    assert [each / HOUR for each in w.ran("a")] == ran and len(w.slots("a")) == 6


def test_a_slot_that_is_a_minute_late_at_most_runs_whatever_the_policy(world: Make):
    for lateness, ran in ((GRACE_S - 1, [3600.0]), (GRACE_S + 5, [])):
        w = world({"a": cron("0 * * * *", catch_up="skip", window_s=0)})
        w.run(HOUR - 30, w.scheduler())
        w.go(30 + lateness)
        w.run(1, w.scheduler())
        assert w.ran("a") == ran


@both
def test_of_several_that_are_due_at_once_the_newest_runs_for_all(world: Make):
    w = world({"a": every(1), "b": every(1, catch_up="skip")})
    w.run(10, w.scheduler())
    w.go(5.5)
    w.run(0, w.scheduler())
    for name in "ab":
        assert w.outcomes(name)[-5:] == [
            (11.0, "missed"),
            (12.0, "missed"),
            (13.0, "missed"),
            (14.0, "missed"),
            (15.0, "deferred"),
        ]
        assert w.slots(name)[-2].reason == "a later one was due as well when the scheduler came to it, 2 seconds late"


@both
def test_caught_up_slots_run_one_after_the_other(world: Make):
    w = world({"a": cron("0 * * * *", catch_up="all"), "b": cron("0 * * * *", catch_up="all", overlap="allow")})
    w.run(60, w.scheduler())
    w.go(3.5 * HOUR)
    s = w.scheduler()
    w.settle(s)
    assert [outcome for _, outcome in w.outcomes("a")] == ["deferred", "waiting", "waiting"]
    assert [outcome for _, outcome in w.outcomes("b")] == ["deferred"] * 3
    w.run(60, s)
    assert [outcome for _, outcome in w.outcomes("a")] == ["deferred"] * 3 and set(w.jobs().values()) == {1}


@rows("catch_up", ["once", "all", "skip"])
@rows("table", [cron("* * * * *"), every(1), every(1.7), lambda moment: True])
def test_years_ago_is_no_long_work(world: Make, catch_up: str, table: Any):
    w = world({"a": table}, schedule_catch_up=catch_up, schedule_catch_up_window_s=HOUR)
    w.run(1, w.scheduler())
    w.go(5 * 366 * DAY + 30)
    s = w.scheduler()
    looks = 0
    while (next_at := s.tick()) is not None and next_at <= w.at:
        looks += 1
        assert looks < 20, "it does not come to an end"
    (row,) = w.storage.schedule_store.schedules()
    assert w.at - row.last < 60 or (catch_up, row.waits) == ("all", WAITING_MAX), "the rest has no place in line yet"
    assert len(w.slots("a")) <= KEPT + 100 + 1, "those that wait, and the one that they wait for"


# overlap


@both
@pytest.mark.parametrize(("overlap", "second"), [("skip", "skipped"), ("queue", "waiting"), ("allow", "deferred")])
def test_overlap(world: Make, overlap: str, second: str):
    w = world({"a": every(60, overlap=overlap)})
    s = w.scheduler()
    w.run(150, s, work=False)
    assert [outcome for _, outcome in w.outcomes("a")] == ["deferred", second]
    before = w.slots("a")[0].job_id
    if overlap == "skip":
        assert w.slots("a")[1].reason == f"the run before it (job {before}) had not ended"
    w.work()
    w.run(2, s, work=False)
    assert w.outcomes("a")[1] == (120.0, "skipped" if overlap == "skip" else "deferred")
    w.run(60, s)
    assert w.outcomes("a")[2] == (180.0, "deferred")


@both
def test_slots_that_wait_run_in_order_also_after_a_restart(world: Make):
    w = world({"a": every(60, overlap="queue")})
    w.run(310, w.scheduler(), work=False)
    ran = []
    for _ in range(5):
        ran += w.work()
        w.run(3, w.scheduler(), work=False)
    assert ran == [f"{w.name('a')}@2026-06-01T00:0{n}:00Z" for n in range(1, 6)]


@both
@pytest.mark.parametrize("table", [cron("0 * * * *"), lambda moment: not moment.minute])
def test_all_of_them_are_caught_up_however_many(world: Make, table: Any):
    """More than may wait: they are put in line as places become free."""
    w = world({"a": table}, schedule_catch_up="all", schedule_catch_up_window_s=20 * DAY)
    w.run(60, w.scheduler())
    down = WAITING_MAX + 50
    w.go(down * HOUR)
    s = w.scheduler()
    w.settle(s)
    assert [outcome for _, outcome in w.outcomes("a")] == ["deferred"] + ["waiting"] * WAITING_MAX
    ran = [w.work()[0]]
    while len(ran) < down:
        w.go(2)
        w.settle(s)
        ran += w.work()
    assert w.ran("a") == [HOUR * n for n in range(1, down + 1)] and set(w.jobs().values()) == {1}
    assert ran == sorted(ran) and {outcome for _, outcome in w.outcomes("a")} == {"deferred"}


def test_what_waits_for_a_place_beyond_the_window_is_missed_with_the_reason(world: Make):
    w = world({"a": cron("0 * * * *", catch_up="all", overlap="queue", window_s=WAITING_MAX * HOUR)})
    w.run(60, w.scheduler())
    w.go((WAITING_MAX + 50) * HOUR)
    s = w.scheduler()
    w.settle(s)
    for _ in range(WAITING_MAX + 20):  # nobody works
        w.go(HOUR)
        w.settle(s)
    missed = [slot for slot in w.slots("a") if slot.at > START + (WAITING_MAX + 50) * HOUR and slot.outcome == "missed"]
    assert len(missed) >= 18
    assert {slot.reason for slot in missed} == {"the runs before it took longer than 4 days 4 hours"}
