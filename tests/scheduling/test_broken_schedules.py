"""Each schedule is its own blast radius: one that cannot be read, computed, called or shown is shown as broken, with
its reason, and all others are shown and fired as if it were not there."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from duey import errors, every, register_type
from duey.api.views import schedule_view
from duey.cli.commands.schedules import shown
from duey.control.schedules import ScheduleRequest
from duey.execution.huey import DurableHuey
from duey.model.schedule import ScheduleRow
from duey.scheduling.scheduler import PATIENCE_S, DurableScheduler
from duey.scheduling.timetable import Every
from tests.scheduling.conftest import both
from tests.scheduling.simulation import START, Make, World

FAR = datetime(9999, 12, 31, 23, tzinfo=timezone.utc).timestamp()
HANGS = threading.Event()


@register_type
@dataclass
class Touchy:
    """A registered type whose constructor does what the test says."""

    n: int

    def __post_init__(self) -> None: ...


class Odd(Every):
    """A timetable of an author's own."""

    def after(self, instant: float, default_tz: str) -> float | None:
        return float("nan")

    @property
    def words(self) -> str:
        raise RuntimeError("no words")


def hang() -> None:
    HANGS.wait(60)


def boom() -> None:
    raise RuntimeError("boom")


def leave() -> None:
    sys.exit("bye")


def minute(deed: Callable[[], object]) -> Callable[[datetime], bool]:
    """A function of a minute that does this."""
    return lambda moment: deed() is None


@pytest.fixture(autouse=True)
def nobody_hangs_for_ever(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    HANGS.clear()
    monkeypatch.setattr(Touchy, "__post_init__", lambda self: None)
    yield
    HANGS.set()


def more_tasks(huey: DurableHuey) -> None:
    """Tasks whose calls need code of their author."""

    @huey.task(name="keyed", unique=True, unique_key=lambda n=0: DEEDS[n]())
    def keyed(n: int = 0) -> None:
        pass

    @huey.task(name="renamed")
    def renamed(new_name: int) -> None:
        pass

    @huey.task(name="touched")
    def touched(value: Touchy) -> None:
        pass


DEEDS = (boom, leave, hang)


def spec(huey: DurableHuey, task: str, call: Any = ((), {}), **more: Any) -> str:
    stored = {"every": 60} if not {"cron", "at", "every"} & more.keys() else {}
    call = huey.serializer.serialize(call).decode("latin-1")
    return json.dumps({"task": task, "call": call, **stored, **more}, allow_nan=True)


def broken_rows(w: World) -> dict[str, tuple[str, str]]:
    """name: the spec of a schedule that was made, and what its problem says."""
    huey, work, odd_call = w.huey, w.full("work"), {"task": w.full("work"), "call": "nonsense", "every": 5}
    return {
        "no-json": ("no json", "cannot be read here"), "a-list": ("[1]", "cannot be read here"),
        "empty": ("{}", "cannot be read here: KeyError: 'task'"),
        "odd-task": (json.dumps({"task": [], "call": "", "every": 5}), "cannot be read here"),
        "no-timetable": (json.dumps({"task": "work", "call": ""}), "one of cron, every and at; found none"),
        "odd-call": (json.dumps(odd_call), "its arguments cannot be shown"),
        "no-zone": (spec(huey, work, tz="Mars/Base"), "there is no time zone 'Mars/Base'"),
        "year-10000": (spec(huey, work, at=FAR + 86400), "before the year 10000"),
        "infinite": (spec(huey, work, at=float("inf")), "before the year 10000"),
        "nan": (spec(huey, work, every=float("nan")), "every() takes seconds"),
        "gone": (spec(huey, "nobody.knows"), "no task nobody.knows is known"),
        "renamed": (spec(huey, w.full("renamed"), ((), {"old_name": 1})), "do not fit task renamed any more: "),
        "touched": (spec(huey, w.full("touched"), ((Touchy(1),), {})), "boom"),
        "keyed-raises": (spec(huey, w.full("keyed"), ((0,), {})), "unique_key of task keyed failed"),
        "keyed-exits": (spec(huey, w.full("keyed"), ((1,), {})), "SystemExit: bye"),
        "keyed-hangs": (spec(huey, w.full("keyed"), ((2,), {})), "has not answered"),
    }  # fmt: skip


def a_world(world: Make, **schedules: Any) -> tuple[World, dict[str, str]]:
    """A world with every kind of broken schedule beside a sound one of each source; name: what its problem says."""
    w = world({"sound": every(60), **schedules}, more=more_tasks)
    rows = broken_rows(w)
    for name, (stored, _) in rows.items():
        w.storage.schedule_store.add(ScheduleRow(name, "made", stored, False, START, START))
    left = ScheduleRow(w.name("left"), "code", '{"tz": "Mars/Base", "text": 7}', False, START, START)
    w.storage.schedule_store.add(left)
    w.control.schedules.make("sound-made", ScheduleRequest("work", (7,), every_s=60))
    Touchy.__post_init__ = lambda self: boom()  # type: ignore[method-assign]
    problems = {name: problem for name, (_, problem) in rows.items()} | {w.name("left"): "is known"}
    return w, problems


CODE = {"raises": minute(boom), "exits": minute(leave), "hangs": minute(hang), "odd": Odd()}
CODE_PROBLEMS = {"raises": "RuntimeError: boom", "exits": "SystemExit: bye", "hangs": "has not", "odd": "no words"}


@both
def test_a_broken_schedule_is_shown_with_its_reason_and_all_others_are_shown(world: Make):
    w, problems = a_world(world, **CODE)
    problems |= {w.name(name): problem for name, problem in CODE_PROBLEMS.items()}
    found = {each.name: each for each in w.control.schedules.all()}
    assert {name for name, each in found.items() if each.problem is None} == {w.name("sound"), "sound-made"}
    assert set(found) == {*problems, w.name("sound"), "sound-made"}
    for name, problem in problems.items():
        assert problem in (found[name].problem or ""), name
    assert found["sound-made"].args == [7] and len(found["sound-made"].next_at) == 5
    assert found["renamed"].kwargs == {"old_name": 1} and found["renamed"].words == "Every 1 minute"
    assert found[w.name("hangs")].words.startswith("Each minute for which")
    for each in found.values():  # as the API, the pages and the operator show them
        json.dumps(schedule_view(each), allow_nan=False)
        for at in (*each.next_at, *(slot.at for slot in each.slots)):
            shown(at, each.tz)
        assert w.control.schedules.get(each.name).name == each.name


def test_a_broken_schedule_can_be_paused_resumed_changed_removed_and_says_why_it_does_not_run(world: Make):
    w, problems = a_world(world)
    for name in [each for each in problems if each != w.name("left")]:
        w.control.schedules.pause(name)
        w.control.schedules.resume(name)
        if name != "keyed-hangs":  # that one is waited for
            with pytest.raises((errors.BrokenSchedule, errors.UnknownTask)):
                w.control.schedules.run_now(name)
        w.control.schedules.change(name, ScheduleRequest("work", (1,), every_s=90))
        assert w.control.schedules.get(name).problem is None
        w.control.schedules.remove(name)
    assert w.storage.counts().queued == 0


# firing


def until(met: Callable[[], object], scheduler: DurableScheduler) -> None:
    """Look again and again until it is so."""
    give_up_at = time.monotonic() + 60
    while not met():
        assert time.monotonic() < give_up_at, "it never came to be so"
        scheduler.tick()
        time.sleep(0.01)


@both
def test_all_others_fire_within_their_second(world: Make, caplog: pytest.LogCaptureFixture):
    w, problems = a_world(world, **CODE)
    w.control.schedules.make("late", ScheduleRequest("work", every_s=60, overlap="queue"))
    scheduler = w.scheduler()
    scheduler.patience_s = PATIENCE_S  # as in a consumer
    w.run(180, scheduler)
    for name in ("sound", "sound-made", "late"):
        assert w.ran(name) == [60.0, 120.0, 180.0], name
        assert {slot.noted_at - slot.at for slot in w.slots(name)} == {0.0}
    for name in (*CODE, *problems):
        assert w.ran(name) == [], name
    assert "its job could not be made: its arguments do not fit" in (w.slots("renamed")[0].reason or "")
    for name in problems:
        slots, said = w.slots(name), [r for r in caplog.records if f"schedule {name}" in r.getMessage()]
        assert {slot.outcome for slot in slots} <= {"missed"}, name
        assert slots or len(said) == (name != "keyed-hangs"), f"{name}: what is not on record of its slots is said once"
    HANGS.set()  # it answers after all: what was due meanwhile is dealt with
    until(lambda: len(w.slots("hangs")) == 3, scheduler)
    assert w.slots("hangs")[0].reason == "late by 2 minutes: its code took 2 minutes"
    assert w.ran("hangs") == [60.0]


@both
def test_a_slot_that_waited_and_cannot_be_called_any_more_is_missed_and_stops_nobody(world: Make):
    w = world({"sound": every(60)}, more=more_tasks)
    stored = spec(w.huey, w.full("renamed"), ((), {"new_name": 1}), overlap="queue")
    w.storage.schedule_store.add(ScheduleRow("s", "made", stored, False, START, START))
    scheduler = w.scheduler()
    w.run(150, scheduler, work=False)
    assert [outcome for _, outcome in w.outcomes("s")] == ["deferred", "waiting"]
    row = next(row for row in w.storage.schedule_store.schedules() if row.name == "s")
    assert w.storage.schedule_store.replace(row, stored.replace("new_name", "old_name"), row.last)  # a deploy
    w.run(60, scheduler, work=False)
    assert w.outcomes("s")[1] == (120.0, "waiting"), "its turn has not come"
    w.run(120, scheduler)
    assert [outcome for _, outcome in w.outcomes("s")] == ["deferred"] + ["missed"] * 4
    assert "do not fit task renamed any more: missing a required argument: 'new_name'" in (w.slots("s")[1].reason or "")
    assert w.ran("sound") == [60.0, 240.0, 300.0]


@both
def test_a_receiver_of_signals_that_hangs_or_exits_delays_no_slot(world: Make):
    w = world({"a": every(60), "b": every(60)})
    huey = w.make_huey()
    heard: list[str] = []

    @huey.signal()
    def receive(signal: str, task: Any) -> None:
        heard.append(task.id)
        (hang if len(heard) == 3 else leave)()

    scheduler = w.scheduler(huey=huey)
    scheduler.patience_s = PATIENCE_S
    w.run(180, scheduler)
    for name in "ab":
        assert w.ran(name) == [60.0, 120.0, 180.0]
    assert len(heard) == 3, "that one has not returned"
    HANGS.set()
    until(lambda: len(heard) == 6, scheduler)
