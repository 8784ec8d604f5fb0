"""Each schedule is its own blast radius: one that cannot be read, computed, called or shown is shown as broken, with
its reason, and all others are shown and fired as if it were not there."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from api.schedules import schedule_view
from engine import errors, every, register_type
from engine.durable import DurableHuey
from engine.ledger import ScheduleRow
from engine.timetable import Every
from engine.timetables import ScheduleRequest
from operations.schedules import shown
from tests.engine.clockwork import START, Make, World
from tests.engine.conftest import both

FAR = datetime(9999, 12, 31, 23, tzinfo=timezone.utc).timestamp()
HANGS = threading.Event()


@register_type
@dataclass
class Touchy:
    """A registered type whose constructor does what the test says."""

    n: int

    def __post_init__(self) -> None:
        TOUCH[0]()


TOUCH: list[Callable[[], object]] = [lambda: None]


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

    def asked(moment: datetime) -> bool:
        deed()
        return True

    return asked


@pytest.fixture(autouse=True)
def nobody_hangs_for_ever() -> Iterator[None]:
    HANGS.clear()
    TOUCH[0] = lambda: None
    yield
    TOUCH[0] = lambda: None
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
    return json.dumps(
        {"task": task, "call": huey.serializer.serialize(call).decode("latin-1"), **stored, **more}, allow_nan=True
    )


def broken_rows(w: World) -> dict[str, tuple[str, str]]:
    """name: the spec of a schedule that was made, and what its problem says."""
    huey, work = w.huey, w.full("work")
    return {
        "no-json": ("no json", "cannot be read here"),
        "a-list": ("[1]", "cannot be read here"),
        "empty": ("{}", "cannot be read here: KeyError: 'task'"),
        "odd-task": (json.dumps({"task": [], "call": "", "every": 5}), "cannot be read here"),
        "no-timetable": (json.dumps({"task": "work", "call": ""}), "one of cron, every and at; found none"),
        "odd-call": (
            json.dumps({"task": work, "call": "nonsense", "every": 5}),
            "its arguments cannot be shown",
        ),
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
    }


def a_world(world: Make, **schedules: Any) -> tuple[World, dict[str, str]]:
    """A world with every kind of broken schedule beside a sound one of each source; name: what its problem says."""
    w = world({"sound": every(60), **schedules}, more=more_tasks)
    rows = broken_rows(w)
    for name, (stored, _) in rows.items():
        w.storage.ledger.add(ScheduleRow(name, "made", stored, False, START, START))
    w.storage.ledger.add(ScheduleRow(w.name("left"), "code", '{"tz": "Mars/Base", "text": 7}', False, START, START))
    w.control.schedules.make("sound-made", ScheduleRequest("work", (7,), every_s=60))
    TOUCH[0] = boom
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
