"""How often a page, an answer of the API or a command asks Redis, which may be 200 ms away: three times at most."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duey.api import make_api
from duey.storage.redis.connection import client
from tests.api.client import Client
from tests.cli.conftest import Run, run_in
from tests.monitor.conftest import Clock
from tests.monitor.web.scene import channels, make_morning
from tests.monitor.web.world import World, make_world
from tests.support.far_redis import FarLine
from tests.support.waiting import wait_until

__all__ = ["run_in"]

# What depends on an earlier answer takes another one: slots of the schedules, progress of the running jobs.
PAGES = {
    "/": 3, "/?fragment=now": 2, "/?fragment=history": 2,
    "/jobs": 2, "/jobs?state=queued": 3, "/jobs?state=running": 2, "/jobs?fragment=list": 2,
    "/jobs/running-0": 3, "/jobs/running-0?fragment=log": 3, "/jobs/queued-0": 1, "/jobs/failed-3": 2,
    "/tasks": 2, "/tasks/add": 2, "/schedules": 2, "/schedules/periodic.heartbeat": 2,
    "/errors": 1, "/errors/{group}": 2, "/workers": 2, "/alerts": 0, "/audit": 0,
}  # fmt: skip
API = {
    "/healthz": 0, "/readyz": 1, "/metrics": 1,
    "/api/jobs": 2, "/api/jobs?state=running": 2, "/api/jobs/running-0": 2, "/api/jobs/running-0/log": 3,
    "/api/tasks": 1, "/api/queues": 1, "/api/workers": 1, "/api/schedules": 2, "/api/errors": 0, "/api/alerts": 0,
}  # fmt: skip
COMMANDS = {"status": 2, "jobs": 2, "tasks": 1, "schedules": 2, "workers": 1}


@pytest.fixture
def far(
    tmp_path: Path, clock: Clock, redis_server, far_line: FarLine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:  # fmt: skip
    """The service in the morning, with the web at the other end of the line and the consumer beside Redis."""
    monkeypatch.setattr(client, "COMPARE_S", 1e9)  # one round trip in 10 s, whatever is asked
    queue = f"backend = redis\nname = t{uuid.uuid4().hex[:12]}\nurl = "
    near = make_world(tmp_path, clock, periodic=True, channels=channels(), queue=queue + redis_server.url)
    make_morning(near, clock)
    near.presences.clear()  # they have left
    near.hire("atlas", 99_994_121)
    for _ in range(4):
        near.begin()
    world = make_world(tmp_path, clock, periodic=True, channels=channels(), queue=queue + far_line.url)
    wait_until(lambda: len(world.ids("running")) == 4, 10, "Redis was told of the bodies")
    yield world
    world.close()
    near.close()


def test_no_page_asks_more_often_than_it_must(
    far: World, far_line: FarLine, clock: Clock, run_in: Callable[[World], Run]
):
    group = far.history.error_groups().groups[0].fingerprint
    browser = far.browser("ana")
    api = make_api(far.control, far.access, far.settings, far.history, far.site.services.alerts)
    reader = Client(api, far.access.tokens.create("reader", ("read",))[1])
    run = run_in(far)

    def asked(question: Callable[[], object]) -> int:
        clock.advance(30)  # nothing is in a cache
        question()
        before = far_line.trips
        clock.advance(30)
        question()
        return far_line.trips - before

    def shown(path: str) -> int:
        return asked(lambda: browser.get(f"/monitor{path}".format(group=group)))

    assert {path: shown(path) for path in PAGES} == PAGES
    assert {path: asked(lambda path=path: reader.get(path)) for path in API} == API  # type: ignore[misc]
    assert {command: asked(lambda command=command: run(command)) for command in COMMANDS} == COMMANDS  # type: ignore[misc]
