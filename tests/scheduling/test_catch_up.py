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


def hourly(catch_up: str | None = None, **options: Any) -> Any:
    return cron("0 * * * *", catch_up=catch_up, **options)


# catch-up


@both
def test_six_hours_down(world: Make):
    tables = {  # what runs of the slots 1 to 6, and what is on record
        "skip": (hourly("skip"), []), "once": (hourly("once"), [6]), "all": (hourly("all"), [1, 2, 3, 4, 5, 6]),
        "service_s": (hourly(), []), "narrow": (hourly("once", window_s=0.25 * HOUR), []),
        "some": (hourly("all", window_s=2 * HOUR), [5, 6]),
    }  # fmt: skip
    w = world({name: table for name, (table, _) in tables.items()}, schedule_catch_up="skip")
    w.run(1800, w.scheduler())
    w.go(6 * HOUR)
    w.run(10 * 60, w.scheduler(), step_s=60)
    for name, (_, ran) in tables.items():
        assert [each / HOUR for each in w.ran(name)] == ran, name
        missed = [slot for slot in w.slots(name) if slot.outcome == "missed"]
        assert [(slot.at - START) / HOUR for slot in missed] == [hour for hour in range(1, 7) if hour not in ran], name
        assert {slot.reason for slot in missed} <= {"no consumer 00:30-06:30 (UTC)"}, name
        late = [slot.reason for slot in w.slots(name) if slot.outcome == "deferred"][-1:]
        assert late in ([], ["late by 30 minutes: no consumer 00:30-06:30 (UTC)"]), name
    w.run(HOUR, w.scheduler())
    assert w.outcomes("once")[-1] == (7.0 * HOUR, "deferred") and set(w.jobs().values()) == {1}


def test_a_slot_that_is_a_minute_late_at_most_runs_whatever_the_policy(world: Make):
    for lateness, ran in ((GRACE_S - 1, [3600.0]), (GRACE_S + 5, [])):
        w = world({"a": hourly("skip", window_s=0)})
        w.run(HOUR - 30, w.scheduler())
        w.go(30 + lateness)
        w.run(1, w.scheduler())
        assert w.ran("a") == ran, lateness


def test_of_several_that_are_due_at_once_the_newest_runs_for_all(world: Make):
    w = world({"a": every(1), "b": every(1, catch_up="skip")})
    w.run(10, w.scheduler())
    w.go(5.5)
    w.run(0, w.scheduler())
    for name in "ab":
        assert w.outcomes(name)[-5:] == [(float(at), "missed") for at in (11, 12, 13, 14)] + [(15.0, "deferred")]
        assert w.slots(name)[-2].reason == "a later one was due as well when the scheduler came to it, 2 seconds late"


@rows("catch_up", ["once", "all", "skip"])
@rows("table", [cron("* * * * *"), every(1.7), lambda moment: True])
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
def test_overlap(world: Make):
    then = {"skip": "skipped", "queue": "waiting", "allow": "deferred"}
    w = world({name: every(60, overlap=name) for name in then} | {"all": hourly("all", overlap="allow")})
    s = w.scheduler()
    w.run(150, s, work=False)
    for name, second in then.items():
        assert [outcome for _, outcome in w.outcomes(name)] == ["deferred", second]
    assert w.slots("skip")[1].reason == f"the run before it (job {w.slots('skip')[0].job_id}) had not ended"
    w.work()
    w.run(2, s, work=False)
    for name in then:
        assert w.outcomes(name)[1] == (120.0, "skipped" if name == "skip" else "deferred"), name
    w.run(60, s)
    for name in then:
        assert w.outcomes(name)[2] == (180.0, "deferred"), name
    w.go(3.5 * HOUR)
    w.settle(s)
    assert w.ran("all") == [HOUR, 2 * HOUR, 3 * HOUR], "caught up side by side"


@both
def test_slots_that_wait_run_in_order_also_after_a_restart(world: Make):
    w = world({"a": every(60, overlap="queue")})
    w.run(310, w.scheduler(), work=False)
    ran = []
    for _ in range(5):
        ran += w.work()
        w.run(3, w.scheduler(), work=False)
    assert ran == [f"{w.name('a')}@2026-06-01T00:0{n}:00Z" for n in range(1, 6)]


@pytest.mark.parametrize(("backend", "table"), [("redis", hourly()), ("sqlite", lambda moment: not moment.minute)])
def test_all_of_them_are_caught_up_however_many(world: Make, table: Any):
    """More than may wait: they are put in line as places become free."""
    w = world({"a": table}, schedule_catch_up="all", schedule_catch_up_window_s=20 * DAY)
    w.run(60, w.scheduler())
    down = WAITING_MAX + 10
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
    w = world({"a": hourly("all", overlap="queue", window_s=WAITING_MAX * HOUR)})
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
