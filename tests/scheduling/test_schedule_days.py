"""Days, twenty schedules, three consumers that are started and killed at random: each slot has exactly one job.

Kills come between two looks, and in the middle of dealing with slots: before the transaction, before its commit, and
after it; and one is overtaken by the others between its look and its deed. The days include the one on which the clocks
of Zagreb are set back. DUEY_TEST_SEED seeds what is random.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duey import crontab, faults
from duey.scheduling.scheduler import DurableScheduler
from duey.scheduling.timetable import Cron, Timetable, cron, every
from tests.scheduling.conftest import both
from tests.scheduling.simulation import World, moment
from tests.support import rounds

SEED = int(os.environ.get("DUEY_TEST_SEED", "1"))
DAYS = rounds(1, soak=10)
ZONE = "Europe/Zagreb"
BEGIN = moment(rounds("2026-10-25 00:00", soak="2026-10-17 00:00"), ZONE)
END = BEGIN + DAYS * 86400
CRONS = (
    "*/10 * * * *", "7 * * * *", "*/20 8-18 * * mon-fri", "30 2 * * *", "0 2,3 * * *", "15 */2 * * *", "0 0 * * *",
    "45 23 * * sun", "10-50/10 6 * * *", "0 12 20,25 * *", "59 1 * * *",
)  # fmt: skip


class Killed(BaseException):
    """As kill -9 has it: nothing of the process runs any more."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="duey-") as made:
        yield Path(made)


def twenty() -> dict[str, Timetable]:
    """Every slot of the first fifteen is to run; of the others at least the newest of those that were missed."""
    strict = {"catch_up": "all", "overlap": "allow", "window_s": 5 * 86400.0}
    tables: dict[str, Timetable] = {f"all{n}": cron(text, **strict) for n, text in enumerate(CRONS)}
    tables |= {f"every{n}": every(seconds, **strict) for n, seconds in enumerate((997, 3600, 86400, 2 * 86400))}
    tables |= {f"once{n}": cron(text, catch_up="once", overlap="allow") for n, text in enumerate(CRONS[:3])}
    tables |= {"skip": cron("*/15 * * * *", catch_up="skip"), "line": crontab(minute="*/30", overlap="queue")}
    return tables


def expected(table: Timetable) -> list[float]:
    """All slots of the days."""
    found, at = [], table.after(BEGIN, ZONE)
    while at is not None and at <= END:
        found.append(at)
        at = table.after(at, ZONE)
    return found


@pytest.mark.soak
@both
@pytest.mark.parametrize("seed", range(SEED, SEED + rounds(1, soak=10)))
def test_days(folder: Path, where: Callable[[], dict[str, str]], seed: int):
    rng = random.Random(seed)
    world = World(folder, twenty(), at=BEGIN, schedule_timezone=ZONE, **where())
    try:
        kills = live(world, rng)
        check(world, f"seed {seed}")
        assert kills > 5 * DAYS
    finally:
        faults.point = None
        world.close()


def live(world: World, rng: random.Random) -> int:
    """Let the days pass; how many were killed."""
    hueys = [world.make_huey() for _ in range(3)]
    running: dict[int, DurableScheduler] = {0: world.scheduler(huey=hueys[0])}
    kills = 0
    while world.at < END:
        # With nobody left, up to an hour goes by; else somebody may be killed before the next slot, too.
        nexts = [world.at + rng.choice((60.0, 300.0, 3600.0)), END]
        for n in rng.sample(range(3), 3):
            if n not in running and rng.random() < 0.05:
                running[n] = world.scheduler(huey=hueys[n])
            elif n in running and rng.random() < 0.01:
                del running[n]
                kills += 1
            if n in running:
                next_at = survives(world, running[n], rng, [running[m] for m in running if m != n])
                if next_at is None:
                    del running[n]
                    kills += 1
                nexts += [next_at] if next_at else []
        if rng.random() < 0.7:
            world.work(rng.choice(("done", "done", "failed")))
        world.at = min(nexts)
    faults.point = None
    for _ in range(70):  # all that is due in the end, and those that wait in line
        world.settle(world.scheduler(huey=hueys[0]))
        world.work()
    return kills


def survives(
    world: World, scheduler: DurableScheduler, rng: random.Random, others: list[DurableScheduler]
) -> float | None:
    """Let it deal with what is due; when it looks again, None where it was killed meanwhile. Others may overtake it
    between its look and its deed."""
    step = rng.choice(("fire.begun", "fire.written", "fire.committed", "overtaken")) if rng.random() < 0.1 else ""

    def point(at: str) -> None:
        if at == step:
            raise Killed
        if at == "fire.begun" and step == "overtaken":
            faults.point = None
            for other in others:
                world.settle(other)

    faults.point = point
    try:
        return world.settle(scheduler, 3600.0)
    except Killed:
        scheduler.huey.storage.close()  # as the kernel closes what was open: an open transaction is rolled back
        return None
    finally:
        faults.point = None


def check(world: World, said: str) -> None:
    """One job for each slot, no job for anything else, and nothing that fell due is missing from the record."""
    jobs = world.jobs()
    assert set(jobs.values()) == {1}, said
    for name, table in world.schedules.items():
        assert isinstance(table, Timetable)
        ran = sorted(at for schedule, at in jobs if schedule == world.name(name))
        due, slots = expected(table), world.slots(name)
        kept = due[-len(slots) :]
        assert [slot.at for slot in slots] == kept and len(slots) == min(len(due), 500), f"{name}, {said}"
        if name.startswith(("all", "every")):
            assert ran == due, f"{name}, {said}"
            continue
        assert set(ran) <= set(due) and len(ran) >= len(due) / 6, f"{name}, {len(ran)} of {len(due)}, {said}"
        outcome = {slot.at: slot for slot in slots}
        for at in kept:
            assert (at in ran) == (outcome[at].outcome == "deferred"), f"{name}, {said}"
            assert outcome[at].outcome == "deferred" or outcome[at].reason, f"{name}, {said}"
    assert isinstance(world.schedules["all3"], Cron) and len(expected(world.schedules["all3"])) == DAYS
