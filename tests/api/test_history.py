"""What happened, over HTTP: attempts, groups of errors, and forgetting an ended job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from duey import config
from duey.errors import UnknownJob
from duey.model.job import Failure, Page
from duey.monitor.history import History
from duey.monitor.history.values import Attempt, Count, ErrorGroup, ErrorGroups, LogLine
from tests.api.client import Client
from tests.api.conftest import World, make_world
from tests.contracts.rig import ended

ATTEMPT = Attempt(
    number=1, outcome="failed", worker="7", started_at=1.5, finished_at=2.0, wait_ms=3.0, run_ms=500.0,
    error=Failure("ValueError", "no", "Traceback ..."), logs=(LogLine(1.6, "INFO", "<b>hello</b>"),),
)  # fmt: skip
GROUP = ErrorGroup(
    fingerprint="f1", type="ValueError", message="no", task="add", qualname="tasks.add", frames=(), state="open",
    count=3, first_seen=1.0, last_seen=2.0, last_job_id="old", last_hour=Count(1), last_day=3, last_week=3,
    sparkline=(0,) * 28,
)  # fmt: skip


class FakeHistory:
    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.held = {"old"}

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        return (ATTEMPT,) if job_id == "old" else ()

    def error_groups(self, **query: Any) -> ErrorGroups:
        self.asked = query
        return ErrorGroups((GROUP,), "more")

    def forget(self, job_id: str) -> None:
        if job_id not in self.held:
            raise UnknownJob(job_id)
        self.held.remove(job_id)

    def job(self, job_id: str) -> Any:
        raise UnknownJob(job_id)

    def jobs(self, **query: Any) -> Page:
        return Page((), None)

    def close(self) -> None: ...


@pytest.fixture
def history() -> FakeHistory:
    return FakeHistory()


@pytest.fixture
def world(tmp_path: Path, history: FakeHistory) -> World:
    return make_world(tmp_path, history=history)


def test_the_attempts_of_a_job(world: World) -> None:
    answer = world.client("read").get("/api/jobs/old/attempts")
    assert answer.status == 200
    (attempt,) = answer.json["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["run_ms"]) == (1, "failed", 500.0)
    assert attempt["error"] == {"type": "ValueError", "message": "no", "traceback": "Traceback ..."}
    line = {"at": "1970-01-01T00:00:01.600Z", "level": "INFO", "text": "<b>hello</b>", "left_out": 0}
    assert attempt["logs"] == [line]


def test_the_log_of_a_job_from_its_ended_attempts_to_the_running_one(tmp_path: Path) -> None:
    history = History(f"sqlite:///{tmp_path / 'monitor.db'}", config.load(environ={}).monitor)
    world = make_world(tmp_path, history=history)
    client, control = world.client("admin"), world.control

    def log(after: int | str = "") -> tuple[list[str], int, bool]:
        answer = client.get(f"/api/jobs/a/log?after={after}")
        assert answer.status == 200, answer
        return [each["text"] for each in answer.json["lines"]], answer.json["next"], answer.json["complete"]

    def record() -> None:
        recorder = history.recorder(control.huey.lifecycle)
        recorder.record()
        recorder.close()

    assert client.post("/api/jobs", {"task": "add", "args": [1], "id": "a"}).status == 202
    assert log() == ([], 0, False)
    claim = control.start("a")
    control.storage.put_logs({claim.token: [(0, 5.0, "INFO", "live"), (3, 6.0, "PRINT", "more")]})
    assert log() == (["live", "2 lines left out", "more"], 6_000_000, False)
    assert log(5_000_001)[0] == ["2 lines left out", "more"] and log(6_000_000) == ([], 6_000_000, False)
    detail = json.dumps({"logs": [[5.0, "INFO", "live"], [7.0, "INFO", "the end"]], "eta": 0, "retries": 2})
    control.hand.commit(ended(claim, "retrying", detail=detail, eta=0.0, retries=2))
    (second,) = control.hand.claim()
    control.storage.put_logs({second.token: [(0, 8.0, "INFO", "again")]})
    assert log(6_000_000) == ([], 6_000_000, False)  # until the first attempt is recorded
    record()
    assert log(6_000_000) == (["the end", "again"], 8_000_000, False)
    control.hand.commit(ended(second, detail=json.dumps({"logs": [[8.0, "INFO", "again"]]})))
    assert not log(8_000_000)[2]
    record()
    assert log(7_000_000) == (["again"], 8_000_000, True)
    control.storage.forget("a")
    assert log() == (["live", "the end", "again"], 8_000_000, True)
    assert client.get("/api/jobs/nobody/log").status == 404 and client.get("/api/jobs/a/log?after=x").status == 422


def test_a_job_that_waits_has_no_attempts_and_an_unknown_one_is_404(world: World, client: Client) -> None:
    waiting = client.post("/api/jobs", {"task": "add", "args": [1, 2]}).json["id"]
    assert client.get(f"/api/jobs/{waiting}/attempts").json == {"attempts": []}
    assert client.get("/api/jobs/nobody/attempts").status == 404


def test_the_groups_of_errors_with_their_filters(world: World, history: FakeHistory) -> None:
    answer = world.client("read").get("/api/errors?state=open&task=tasks.add&limit=5")
    assert answer.status == 200
    assert answer.json["next"] == "more"
    assert (answer.json["errors"][0]["type"], answer.json["errors"][0]["count"]) == ("ValueError", 3)
    assert history.asked == {"state": "open", "task": "tasks.add", "limit": 5}


@pytest.mark.parametrize("query", ["state=closed", "limit=0", "limit=501", "nope=1"])
def test_a_bad_filter_is_refused_by_name(world: World, query: str) -> None:
    answer = world.client("read").get(f"/api/errors?{query}")
    assert answer.status == 422
    assert answer.json["errors"][0]["path"] == query.split("=")[0]


def test_an_ended_job_is_forgotten_and_the_audit_knows_by_whom(
    world: World, client: Client, history: FakeHistory
) -> None:
    assert client.delete("/api/jobs/old").json == {"id": "old", "deleted": True}
    assert history.held == set()
    assert (world.access.audit.page()[0].action, world.access.audit.page()[0].target) == ("delete", "old")
    assert client.delete("/api/jobs/old").status == 404


def test_a_job_that_has_not_ended_is_not_forgotten(client: Client) -> None:
    waiting = client.post("/api/jobs", {"task": "add", "args": [1, 2]}).json["id"]
    assert client.delete(f"/api/jobs/{waiting}").status == 409
    assert client.get(f"/api/jobs/{waiting}").status == 200
