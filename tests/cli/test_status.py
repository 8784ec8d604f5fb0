"""`duey status` is as strict as /readyz and as the first sentence of the overview."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest

from duey import files
from tests.contracts.rig import job, run_next
from tests.monitor.conftest import Clock
from tests.monitor.web.world import World, make_world
from tests.support import rows


def fail(world: World) -> None:
    world.enqueue("fail", "f", "no", retries=0)
    run_next(world.huey)
    world.record()


def leave_alone(world: World) -> None:
    world.enqueue("add", "a", 1, 2, queue="slow")
    world.record()


def forget_task(world: World) -> None:
    world.huey.storage.enqueue_jobs([job("u", task="tasks.gone")])
    assert world.huey.dequeue() is None
    world.record()


def record_nothing(world: World) -> None:
    world.enqueue("add", "a", 1, 2, delay_s=3600.0)


def fill_disk(world: World) -> None:
    files.LEAST_FREE = 1 << 60


def stop(world: World) -> None:
    world.presences.pop().close()


SPOILED = [
    (lambda world: None, 0, "ready\n"),
    (fail, 3, "ready, but look: 1 job failed in the last 24 h."),
    (leave_alone, 3, "ready, but look: No consumer serves the queue slow: 1 job waits"),
    (forget_task, 3, "ready, but look: No consumer knows the task tasks.gone: 1 job waits"),
    (
        record_nothing,
        1,
        "NOT READY: nothing is recorded in the history for 61 s: start a web process or `duey record`\n",
    ),
    (fill_disk, 1, "NOT READY: the disk of "),
    (stop, 1, "NOT READY: no consumer is running"),
]


@rows("spoil, status, words", SPOILED)
def test_what_is_wrong_is_said_and_is_the_exit_status(clock, run_in, make, spoil, status, words):
    world: World = make()
    spoil(world)
    clock.advance(61.0)
    found, out, err = run_in(world)("status")
    assert found == status and out.startswith(words), (found, out, err)
    assert (err.startswith("the service is not ready: ")) is (status == 1)
    assert run_in(world)("status", "--ready")[0] == (status == 1)
    judged = json.loads(run_in(world)("status", "--json")[1])
    assert judged["ready"] is (status != 1) and judged["level"] == ("good" if status == 0 else "bad")


def test_how_many_events_wait_for_the_history_is_said(run_in, make):
    world: World = make()
    record_nothing(world)
    assert "not in the history yet: 1 event (at most 2,000,000 are kept)\n" in run_in(world)("status")[1]
    world.record()
    assert "not in the history yet" not in run_in(world)("status")[1]


def test_a_worker_whose_heartbeat_is_late_is_named(clock, run_in, make, monkeypatch):
    world: World = make()
    (worker,) = world.control.workers()
    for age_s, shown in ((8.0, "alive, idle"), (10.0, "alive, no heartbeat for 10 s, idle")):
        late = dataclasses.replace(worker, heartbeat_at=clock.now - age_s)
        monkeypatch.setattr(type(world.control), "workers", lambda control, late=late: [late])
        assert f"atlas pid 4121, 4 x thread, {shown}\n" in run_in(world)("status")[1]


@pytest.fixture
def make(
    tmp_path_factory: pytest.TempPathFactory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], World]]:
    """Make services on which all is well, with one consumer."""
    made: list[World] = []

    def well() -> World:
        monkeypatch.setattr(files, "LEAST_FREE", 0)
        made.append(make_world(tmp_path_factory.mktemp("service"), clock))
        made[-1].hire("atlas", 4121)
        return made[-1]

    yield well
    for world in made:
        world.close()
