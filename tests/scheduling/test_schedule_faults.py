"""Schedules are made, edited, shown, fired, removed and deployed in any order, while the code of their authors fails in
any way: the sound ones keep their seconds, no slot runs twice, and none is lost before its job has ended."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from duey import cron, errors, every, register_type
from duey.api.views import schedule_view
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.scheduling.scheduler import PATIENCE_S, DurableScheduler
from duey.scheduling.timetable import Every
from tests.scheduling.conftest import both
from tests.scheduling.simulation import START, World
from tests.support.rounds import rounds

PLACES = ("minute", "type", "key", "table", "words", "receiver")
DEEDS = ("fine", "raises", "exits", "hangs")
FAULTS: dict[str, str] = {}
GO_ON = threading.Event()
LOOKING = threading.Event()  # the main thread is in a look, or makes a page
IN_THE_WAY: list[str] = []  # where code of an author ran in that thread: all others would wait for it


def author(place: str) -> None:
    """What an author's code does in this place now."""
    if LOOKING.is_set() and threading.current_thread() is threading.main_thread():
        IN_THE_WAY.append(place)
        return
    deed = FAULTS.get(place, "fine")
    if deed == "raises":
        raise RuntimeError("boom")
    if deed == "exits":
        sys.exit("bye")
    if deed == "hangs" and threading.current_thread() is not threading.main_thread():  # there a verb is asked for
        GO_ON.wait(60)


@register_type
@dataclass
class Injected:
    """A registered type with a constructor of its author."""

    n: int

    def __post_init__(self) -> None:
        author("type")


class Own(Every):
    """A timetable of an author's own."""

    def after(self, instant: float, default_tz: str) -> float | None:
        author("table")
        return instant + self.seconds

    @property
    def words(self) -> str:
        author("words")
        return "as its author likes"


def asked(moment: datetime) -> bool:
    author("minute")
    return True


def key_of(n: int = 0) -> str:
    author("key")
    return f"key {n}"


def more(huey: DurableHuey) -> None:
    @huey.task(name="keyed", unique=True, unique_key=key_of)
    def keyed(n: int = 0) -> None:
        pass

    @huey.task(name="touched")
    def touched(value: Injected) -> None:
        pass

    @huey.signal()
    def receive(signal: str, task: Any) -> None:
        author("receiver")


SOUND = {"sound": every(60, overlap="allow")}
CODE = (  # the deploys: a timetable changed, its zone, a schedule renamed, removed
    {"asked": asked, "own": Own(seconds=60.0), "plain": every(30)},
    {"asked": asked, "own": Own(seconds=90.0), "plain": cron("* * * * *", tz="Europe/Zagreb")},
    {"asked2": asked, "own2": Own(seconds=60.0), "plain": cron("* * * * *", tz="Asia/Tokyo")},
    {"plain": every(45)},
)
OF_PLACE = {"minute": ("asked", "asked2"), "table": ("own", "own2"), "words": ("own", "own2")}
OF_TASK = {"touched": "type", "keyed": "key"}
NAMES = st.sampled_from(["s1", "s2", "s3"])
REQUESTS = st.builds(
    dict, task=st.sampled_from(["work", "keyed", "touched"]),
    when=st.sampled_from([{"every_s": 20}, {"every_s": 60}, {"cron": "*/2 * * * *"}, {"cron": "5 1 * * *"}]),
    tz=st.sampled_from([None, "UTC", "Asia/Tokyo"]), overlap=st.sampled_from(["skip", "queue", "allow"]),
    catch_up=st.sampled_from([None, "skip", "once", "all"]),
)  # fmt: skip
STEP = st.one_of(
    *[st.tuples(st.just("run"), st.sampled_from([1, 60, 60, 61, 120, 150]), st.booleans())] * 2,
    st.tuples(st.just("verb"), st.sampled_from(["make", "change"]), NAMES, REQUESTS),
    st.tuples(st.just("verb"), st.sampled_from(["remove", "pause", "resume", "run_now"]), NAMES),
    st.tuples(st.just("fault"), st.sampled_from(PLACES), st.sampled_from(DEEDS)),
    st.tuples(st.just("deploy"), st.sampled_from(CODE)),
)


class Played:
    """One world, and the steps that are done in it."""

    def __init__(self, w: World) -> None:
        self.w, self.code = w, w.schedules
        self.schedulers: list[DurableScheduler] = []
        self.tasks: dict[str, str] = {}  # of the made schedules
        self.by_hand: Counter[tuple[str, float]] = Counter()
        self.ended: set[str] = set()  # jobs; also those whose schedule was removed
        w.control.schedules.make("sound-made", ScheduleRequest("work", (7,), every_s=60, overlap="allow"))
        self.start(w.make_huey())
        w.settle(self.schedulers[-1])

    def start(self, huey: DurableHuey) -> None:
        self.schedulers.append(self.w.scheduler(huey=huey))
        self.schedulers[-1].patience_s = PATIENCE_S

    def run(self, seconds: float, work: bool) -> None:
        LOOKING.set()
        self.w.run(seconds, self.schedulers[-1], work=False)
        LOOKING.clear()
        if work:
            self.ended.update(self.w.work())

    def fault(self, place: str, deed: str) -> None:
        global GO_ON
        if FAULTS.get(place) == "hangs":
            old, GO_ON = GO_ON, threading.Event()
            old.set()
        FAULTS[place] = deed

    def deploy(self, code: dict[str, Any]) -> None:
        self.code = self.w.schedules = {**SOUND, **code}
        huey = self.w.make_huey()
        self.w.control = Control(huey)
        self.start(huey)

    def verb(self, verb: str, name: str, said: dict[str, Any] | None = None) -> None:
        """What a person asks for; `said` is of the schedule that is made or changed."""
        given = []
        if said is not None:
            value = object.__new__(Injected)  # as its author would make it, whatever its constructor does now
            value.n = 1
            args = (value,) if said["task"] == "touched" else (1,)
            options = {key: said[key] for key in ("tz", "overlap", "catch_up")}
            given = [ScheduleRequest(said["task"], args, **said["when"], **options)]
        try:
            getattr(self.w.control.schedules, verb)(name, *given)
        except (errors.DueyError, RuntimeError, SystemExit):  # what a verb says to the person who asked
            return
        if said is not None:
            self.tasks[name] = said["task"]
        elif verb == "remove":
            self.ended.update(job_id for job_id, schedule, _ in self.w.accepted() if schedule == name)
            del self.tasks[name]
        elif verb == "run_now":
            self.by_hand[name, self.w.at] += 1

    # what holds at any time

    def check(self) -> None:
        w = self.w
        due = [60.0 * n for n in range(1, int((w.at - START) // 60) + 1)]
        for name in ("sound", "sound-made"):
            assert w.ran(name) == due, name
            assert {slot.noted_at - slot.at for slot in w.slots(name)} <= {0.0}, name
        assert not w.jobs() - self.by_hand - Counter(w.jobs().keys()), "a slot ran twice"
        on_record = {slot.job_id for row in w.storage.schedule_store.schedules() for slot in w.slots(row.name)}
        assert not {job_id for job_id, *_ in w.accepted()} - self.ended - on_record
        LOOKING.set()
        found = {each.name: each for each in self.w.control.schedules.all()}
        LOOKING.clear()
        assert not IN_THE_WAY
        for name, each in found.items():
            json.dumps(schedule_view(each), allow_nan=False)
            assert self.w.control.schedules.get(name).name == name
        assert {self.w.name("sound"), "sound-made", *self.tasks} <= set(found)
        assert found[self.w.name("sound")].problem is None and found["sound-made"].problem is None
        bad = {place for place, deed in FAULTS.items() if deed != "fine"}
        broken = {name for name, task in self.tasks.items() if OF_TASK.get(task) in bad}
        broken |= {self.w.name(n) for place in bad for n in OF_PLACE.get(place, ()) if n in self.code}
        assert not {name for name in broken if found[name].problem is None}, bad

    def end(self) -> None:
        """Let everything that hangs go on, and wait for it."""
        LOOKING.clear()
        FAULTS.clear()
        GO_ON.set()
        give_up_at = time.monotonic() + 60
        names = [row.name for row in self.w.storage.schedule_store.schedules()] + [""]
        while any(each._aside.going_s(name) is not None for each in self.schedulers for name in names):
            assert time.monotonic() < give_up_at
            time.sleep(0.005)


@contextmanager
def played(options: dict[str, str]) -> Iterator[Played]:
    global GO_ON
    GO_ON = threading.Event()
    FAULTS.clear()
    IN_THE_WAY.clear()
    with tempfile.TemporaryDirectory(prefix="duey-") as folder, ExitStack() as ends:
        w = World(Path(folder), {**SOUND, **CODE[0]}, more=more, **options)
        ends.callback(w.close)
        made = Played(w)
        ends.callback(made.end)
        yield made


@pytest.mark.soak
@pytest.mark.timeout(rounds(300, soak=7200))
@both
def test_no_order_of_steps_and_no_fault_of_an_author_harms_another_schedule(where: Callable[[], dict[str, str]]):
    @settings(
        max_examples=rounds(6, soak=1000), deadline=None, suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )  # fmt: skip
    @example([("fault", "words", "hangs"), ("deploy", CODE[2]), ("run", 60, True)])
    @given(st.lists(STEP, min_size=4, max_size=rounds(12, soak=30)))
    def holds(steps: list[tuple[Any, ...]]) -> None:
        with played(where()) as world:
            for step in steps:
                getattr(world, step[0])(*step[1:])
            world.check()
            world.run(60, True)
            world.check()

    holds()
