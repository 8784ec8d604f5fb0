"""The scheduler under a clock that the test holds: one job a slot, what it is, pauses, changes at run time, faults."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from duey import at, cron, crontab, errors, every
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.scheduling.entry import SLOT_PRIORITY
from duey.scheduling.scheduler import ALIVE_S, LOOK_S
from tests.scheduling.conftest import both
from tests.scheduling.simulation import START, Make

HOUR = 3600


@both
def test_each_slot_has_one_job_on_its_second(world: Make):
    w = world({
        "a": every(60), "b": crontab(minute="*/5"), "c": cron("2 * * * *"), "d": lambda m: m.minute % 20 == 0,
        "once": at(datetime.fromisoformat("2026-06-01T00:25:00+00:00")),
        "past": at(datetime.fromisoformat("2020-01-01T00:00+00:00")), "later": every(600, first_in=5),
    })  # fmt: skip
    w.run(HOUR / 2, w.scheduler(), w.scheduler())
    w.run(HOUR / 2, w.scheduler())
    expected = {
        "a": range(60, 3601, 60), "b": range(300, 3601, 300), "c": [120], "d": [1200, 2400, 3600],
        "once": [1500], "past": [], "later": range(5, 3600, 600),
    }  # fmt: skip
    assert {name: w.ran(name) for name in expected} == {name: list(found) for name, found in expected.items()}
    assert all(slot.noted_at == slot.at and slot.reason is None for name in expected for slot in w.slots(name))
    assert set(w.jobs().values()) == {1} and len(w.jobs()) == 60 + 12 + 1 + 3 + 1 + 6


def test_every_counts_from_its_first_start_also_in_fractions_of_a_second(world: Make):
    w = world({"a": every(1.25), "b": every(60, first_in=0)}, at=START + 0.6)
    w.run(60, w.scheduler())
    assert len(w.ran("a")) == len(w.jobs()) - len(w.ran("b")) == 48 and [round(each) for each in w.ran("b")] == [0, 60]


def test_three_schedulers_at_the_same_instant(world: Make):
    """In threads, so that they meet in the storage."""
    w = world({f"t{n}": every(60) for n in range(5)})
    three = [w.scheduler() for _ in range(3)]
    w.settle(three[0])
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
def test_restarts_repeat_and_lose_nothing_and_starve_none(world: Make):
    w = world({"cron": crontab(minute="*"), "a": every(200), "b": every(150, first_in=60)})
    for _ in range(9):
        w.run(70, w.scheduler())
        w.go(30)  # nobody runs
    assert w.ran("cron") == [60.0 * n for n in range(1, 15)]
    assert w.ran("a") == [200.0, 400.0, 600.0, 800.0] and w.ran("b") == [60.0 + 150 * n for n in range(6)]


@both
def test_the_job_is_the_slot_s_and_goes_before_others(world: Make):
    w = world({"a": cron("0 3 * * *")})
    heard: list[str] = []
    huey = w.make_huey()
    huey.signal()(lambda signal, task: heard.append(f"{signal} {task.id}"))
    huey.periodic_task(every(3 * HOUR), name="own", priority=3, queue="slow", retries=2)(lambda: None)
    w.run(3 * HOUR, w.scheduler(huey=huey), work=False)
    job = w.control.job(w.slots("a")[0].job_id or "")
    assert job.id == f"{w.name('a')}@2026-06-01T03:00:00Z" and f"enqueued {job.id}" in heard and len(heard) == 2
    assert job.context == {"schedule": w.name("a"), "slot": START + 3 * HOUR}
    assert (job.priority, job.queue, job.eta) == (SLOT_PRIORITY, "default", None)
    (own,) = (each for each in w.control.jobs().jobs if each.id != job.id)
    assert (own.priority, own.queue, own.retries_left) == (3, "slow", 2)


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
    w.run(60, w.scheduler())
    w.run(3 * HOUR, s)
    assert (len(w.slots("a")), w.slots("b")) == (3, [])
    shown = Control(w.make_huey({"a": w.schedules["a"]})).schedules.get(w.name("b"))
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


# faults; those of single schedules are in test_broken_schedules.py


def test_a_look_that_fails_is_said_once_and_is_the_reason_of_what_was_missed(
    world: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    tries = count()
    for error, log, reason in (
        (lambda: errors.StorageUnavailable(f"the queue is away: {next(tries)}"), "is away", "the storage was away"),
        (lambda: SystemExit("bye"), "SystemExit", "the scheduler failed"),
    ):
        caplog.clear()
        w = world({"a": cron("*/5 * * * *")})
        s = w.scheduler()
        s.stop_flag = SimpleNamespace(wait=w.go)
        w.run(60, s)

        def fail(*_: object, error: Callable[[], BaseException] = error) -> None:
            raise error()

        with monkeypatch.context() as patched:
            for verb in ("schedules", "note_alive", "fire"):
                patched.setattr(s._schedule_store, verb, fail)
            while w.at < START + 12 * 60:
                s.loop()
        assert w.control.health().schedules_since == START + 60, "schedules stand still"
        s.loop()
        assert w.control.health().schedules_since is None
        assert w.outcomes("a") == [(300.0, "missed"), (600.0, "deferred")], reason
        assert w.slots("a")[0].reason == f"{reason} 00:01-00:12 (UTC)"
        assert len([r for r in caplog.records if log in r.getMessage()]) == 1, "said once"


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
    told = "missed 4 slots from 2026-06-01T01:00:00Z to 2026-06-01T04:00:00Z: no consumer 02:01-07:31 (Europe/Zagreb)"
    assert told in said and ALIVE_S <= 10
