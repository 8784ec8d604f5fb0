"""The scheduler under a clock that the test holds: one job a slot, catch-up, overlap, clocks that are set, reasons."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from duey import at, cron, crontab, errors, every
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.model.schedule import ScheduleRow
from duey.scheduling.entry import SLOT_PRIORITY
from duey.scheduling.scheduler import ALIVE_S, LOOK_S
from tests.scheduling.conftest import both
from tests.scheduling.simulation import START, Make

HOUR, DAY = 3600, 86400


# one job a slot


@both
def test_each_slot_has_one_job_on_its_second(world: Make):
    w = world({"a": every(60), "b": crontab(minute="*/5"), "c": cron("2 * * * *"), "d": lambda m: m.minute % 20 == 0})
    s = w.scheduler()
    w.run(HOUR, s)
    assert w.ran("a") == [60.0 * n for n in range(1, 61)]
    assert w.ran("b") == [300.0 * n for n in range(1, 13)]
    assert (w.ran("c"), w.ran("d")) == ([120.0], [1200.0, 2400.0, 3600.0])
    assert all(slot.noted_at == slot.at and slot.reason is None for name in "abcd" for slot in w.slots(name))
    assert set(w.jobs().values()) == {1} and len(w.jobs()) == 76


def test_three_schedulers_side_by_side(world: Make):
    w = world({"a": every(60), "b": crontab(minute="*/5"), "c": lambda m: m.minute % 20 == 0})
    three = [w.scheduler() for _ in range(3)]
    w.run(2 * HOUR, *three)
    assert set(w.jobs().values()) == {1} and len(w.jobs()) == 120 + 24 + 6


@both
def test_three_schedulers_at_the_same_instant(world: Make):
    """In threads, so that they meet in the storage."""
    w = world({f"t{n}": every(60) for n in range(5)})
    first = w.scheduler()
    w.settle(first)
    three = [first, w.scheduler(), w.scheduler()]
    ready = threading.Barrier(3)

    def look(scheduler: Any, minutes: int) -> None:
        for minute in range(minutes):
            if ready.wait(30) == 0:
                w.at = START + 60.0 * (minute + 1)
            ready.wait(30)
            w.settle(scheduler)

    threads = [threading.Thread(target=look, args=(each, 20)) for each in three]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # Nobody works here, so that the second slot finds the first one's job unfinished: it is on record all the same.
    assert [len(w.slots(f"t{n}")) for n in range(5)] == [20] * 5
    assert set(w.jobs().values()) == {1} and len(w.jobs()) == 5


@both
def test_a_restart_within_the_minute_repeats_and_loses_nothing(world: Make):
    w = world({"a": crontab(minute="*")})
    for _ in range(60):
        w.run(31, w.scheduler())
        w.go(9)  # nobody runs
    assert w.ran("a") == [60.0 * n for n in range(1, 40)]


@both
def test_every_is_not_starved_by_a_daily_restart(world: Make):
    w = world({"a": every(2 * DAY), "b": every(40 * HOUR, first_in=60)})
    for _ in range(8):
        w.run(DAY - 30, w.scheduler(), step_s=HOUR)
        w.go(30)
    assert w.ran("a") == [2.0 * DAY * n for n in range(1, 4)]
    assert w.ran("b") == [60.0 + 40 * HOUR * n for n in range(5)]


@both
def test_first_in_counts_from_the_first_start_only(world: Make):
    w = world({"a": every(600, first_in=0), "b": every(600, first_in=5)})
    w.run(650, w.scheduler())
    w.run(650, w.scheduler())
    assert [round(each) for each in w.ran("a")] == [0, 600, 1200] and w.ran("b") == [5.0, 605.0, 1205.0]


def test_every_in_fractions_of_a_second_has_a_job_for_each_slot(world: Make):
    w = world({"a": every(1.25)}, at=START + 0.6)
    w.run(60, w.scheduler())
    assert len(w.ran("a")) == len(w.jobs()) == 48


@both
def test_at_is_once(world: Make):
    w = world(
        {
            "a": at(datetime.fromisoformat("2026-06-01T01:00:00+00:00")),
            "past": at(datetime.fromisoformat("2020-01-01T00:00+00:00")),
        }
    )
    w.run(3 * HOUR, w.scheduler())
    w.run(3 * HOUR, w.scheduler())
    assert (w.outcomes("a"), w.outcomes("past")) == ([(3600.0, "deferred")], [])


# what a slot's job is


@both
def test_the_job_is_the_slot_s_and_goes_before_others(world: Make):
    w = world({"a": cron("0 3 * * *")})
    heard: list[str] = []
    huey = w.make_huey()
    huey.signal()(lambda signal, task: heard.append(f"{signal} {task.id}"))
    w.run(3 * HOUR, w.scheduler(huey=huey), work=False)
    job = w.control.job(w.slots("a")[0].job_id or "")
    assert job.id == f"{w.name('a')}@2026-06-01T03:00:00Z" and heard == [f"enqueued {job.id}"]
    assert job.context == {"schedule": w.name("a"), "slot": START + 3 * HOUR}
    assert (job.priority, job.queue, job.eta) == (SLOT_PRIORITY, "default", None)


def test_a_task_s_own_options_hold(world: Make):
    w = world({})
    huey = w.make_huey()
    huey.periodic_task(every(60), name="own", priority=3, queue="slow", retries=2)(lambda: None)
    w.run(60, w.scheduler(huey=huey), work=False)
    (job,) = w.control.jobs().jobs
    assert (job.priority, job.queue, job.retries_left) == (3, "slow", 2)


# pause, unknown tasks, schedules made at run time


@both
def test_a_paused_schedule_skips_its_slots_and_catches_nothing_up(world: Make):
    w = world({"a": cron("0 * * * *", catch_up="all")})
    s = w.scheduler()
    w.run(90 * 60, s)
    w.control.schedules.pause(w.name("a"))
    w.run(3 * HOUR, s)
    w.go(2 * HOUR)  # down and paused
    s = w.scheduler()
    w.run(60, s)
    w.control.schedules.resume(w.name("a"))
    w.run(HOUR, s)
    assert [outcome for _, outcome in w.outcomes("a")] == ["deferred"] + ["skipped"] * 5 + ["deferred"]
    assert {slot.reason for slot in w.slots("a")} == {None, "it was paused"}


def test_what_no_consumer_knows_is_shown_and_not_fired(world: Make):
    w = world({"a": cron("0 * * * *"), "b": cron("0 * * * *")})
    s = w.scheduler({"a": w.schedules["a"]})
    known = w.scheduler()
    w.run(60, known)
    w.run(3 * HOUR, s)
    assert (len(w.slots("a")), w.slots("b")) == (3, [])
    without = w.make_huey({"a": w.schedules["a"]})
    shown = Control(without).schedules.get(w.name("b"))
    assert (shown.known, shown.next_at, shown.words) == (False, (), "At the start of every hour")
    assert shown.expression == "0 * * * *" and shown.problem == f"no task {w.name('b')} is known"
    w.run(60, w.scheduler())
    assert w.outcomes("b")[-1][1] == "deferred" and w.slots("b")[0].reason == "no consumer that could run it"


@both
def test_a_schedule_made_at_run_time_is_seen_within_two_seconds_by_all(world: Make):
    assert LOOK_S + 0.3 < 2
    w = world({})
    s, other = w.scheduler(), w.scheduler()
    w.run(60, s, other)
    w.control.schedules.make("mine", ScheduleRequest("work", (7,), every_s=5))
    w.run(20, s, other)
    assert w.ran("mine") == [65.0, 70.0, 75.0, 80.0] and set(w.jobs().values()) == {1}
    w.control.schedules.change("mine", ScheduleRequest("work", (8,), every_s=10))
    w.run(20, s, other)
    assert w.ran("mine")[-2:] == [90.0, 100.0]
    w.control.schedules.remove("mine")
    w.run(20, s, other)
    assert w.slots("mine") == []


def test_the_loop_sleeps_until_the_next_slot_and_never_longer_than_a_look(world: Make):
    w = world({"a": every(60)})
    s = w.scheduler()
    slept: list[float] = []
    s.stop_flag = SimpleNamespace(wait=slept.append)
    for seconds in (0, 59, 0.4):
        w.go(seconds)
        s.loop()
    assert slept == [LOOK_S, 1.0, pytest.approx(0.6)]


# faults


def test_one_bad_schedule_is_none_of_the_others(world: Make, caplog: pytest.LogCaptureFixture):
    def broken(moment: datetime) -> bool:
        raise RuntimeError("boom")

    w = world({"a": every(60), "broken": broken})
    for n, spec in enumerate(('{"task": "x", "call": "nonsense", "every": 5}', "{}", "no json", '{"task": "work"}')):
        w.storage.schedule_store.add(ScheduleRow(f"bad{n}", "made", spec, False, START, START))
    w.run(180, w.scheduler())
    assert w.ran("a") == [60.0, 120.0, 180.0] and w.ran("broken") == []
    assert "boom" in caplog.text and "bad1 is not run by this consumer: it cannot be read here" in caplog.text
    assert len([r for r in caplog.records if "bad1 is not run" in r.getMessage()]) == 1, "said once"


def test_a_job_that_cannot_be_made_leaves_a_missed_slot(world: Make, monkeypatch: pytest.MonkeyPatch):
    w = world({"a": every(60)})
    huey = w.make_huey()
    monkeypatch.setattr(huey, "new_job", lambda task, **columns: 1 / 0)
    w.run(130, w.scheduler(huey=huey))
    assert w.outcomes("a") == [(60.0, "missed"), (120.0, "missed")]
    assert w.slots("a")[0].reason == "its job could not be made: ZeroDivisionError: division by zero"


def test_a_storage_that_was_away_is_the_reason(
    world: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    w = world({"a": cron("*/5 * * * *")})
    s = w.scheduler()
    s.stop_flag = SimpleNamespace(wait=lambda seconds: w.go(seconds))
    w.run(60, s)

    def away(*_: object) -> None:
        raise errors.StorageUnavailable("the queue is away")

    with monkeypatch.context() as patched:
        for verb in ("schedules", "note_alive", "fire"):
            patched.setattr(s._schedule_store, verb, away)
        while w.at < START + 12 * 60:
            s.loop()
    s.loop()
    assert w.outcomes("a") == [(300.0, "missed"), (600.0, "deferred")]
    assert w.slots("a")[0].reason == "the storage was away 00:01-00:12 (UTC)"
    assert len([r for r in caplog.records if "the queue is away" in r.getMessage()]) == 1, "said once"


def test_a_storage_that_was_emptied_has_the_code_s_schedules_again(world: Make):
    w = world({"a": every(60)})
    s = w.scheduler()
    w.run(60, s)
    w.storage.schedule_store.remove(w.name("a"))
    w.run(120, s)
    assert [row.name for row in w.storage.schedule_store.schedules()] == [w.name("a")] and w.ran("a")[-1] > 60


def test_missed_slots_are_told_in_the_log_once(world: Make, caplog: pytest.LogCaptureFixture):
    w = world({"a": cron("0 * * * *", tz="Europe/Zagreb")})
    w.run(60, w.scheduler())
    w.go(5.5 * HOUR)
    with caplog.at_level(logging.WARNING):
        w.run(60, w.scheduler())
    (said,) = [r.getMessage() for r in caplog.records if "missed" in r.getMessage()]
    assert (
        "missed 4 slots from 2026-06-01T01:00:00Z to 2026-06-01T04:00:00Z: no consumer 02:01-07:31 (Europe/Zagreb)"
        in said
    )
    assert ALIVE_S <= 10
