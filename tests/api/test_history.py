"""What happened, over HTTP: attempts, groups of errors, and forgetting an ended job."""

from __future__ import annotations

import json

import pytest

from tests.api.client import Client
from tests.api.conftest import World
from tests.contracts.rig import ended

FAILURE = {"type": "ValueError", "message": "no", "traceback": "Traceback ..."}


@pytest.fixture
def world(with_history: World) -> World:
    """A job `old` of each of two tasks has failed."""
    client, hand = with_history.client("admin"), with_history.control.hand
    for job_id, task in (("other", "echo"), ("old", "add")):
        client.post("/api/jobs", {"task": task, "args": [1], "id": job_id})
        detail = json.dumps({**FAILURE, "logs": [[1.6, "INFO", "<b>hello</b>"]]})
        claim = with_history.control.start(job_id)
        at = claim.job.enqueued_at
        hand.commit(ended(claim, "failed", detail=detail, started_at=at, finished_at=at + 0.5))
    with_history.record()
    return with_history


def test_the_attempts_of_a_job(world: World, client: Client) -> None:
    (attempt,) = world.client("read").get("/api/jobs/old/attempts").json["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["run_ms"]) == (1, "failed", 500.0)
    assert attempt["error"] == FAILURE
    line = {"at": "1970-01-01T00:00:01.600Z", "level": "INFO", "text": "<b>hello</b>", "left_out": 0}
    assert attempt["logs"] == [line]
    waiting = client.post("/api/jobs", {"task": "add", "args": [1, 2]}).json["id"]
    assert client.get(f"/api/jobs/{waiting}/attempts").json == {"attempts": []}
    assert client.get("/api/jobs/nobody/attempts").status == 404


def test_the_log_of_a_job_from_its_ended_attempts_to_the_running_one(with_history: World) -> None:
    client, control, record = with_history.client("admin"), with_history.control, with_history.record

    def log(after: int | str = "") -> tuple[list[str], int, bool]:
        answer = client.get(f"/api/jobs/a/log?after={after}")
        assert answer.status == 200, answer
        return [each["text"] for each in answer.json["lines"]], answer.json["next"], answer.json["complete"]

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


def test_the_groups_of_errors_with_their_filters(world: World) -> None:
    client = world.client("read")
    (group,) = client.get("/api/errors?state=open&task=tasks.add&limit=5").json["errors"]
    assert (group["type"], group["count"], group["qualname"]) == ("ValueError", 1, "tasks.add")
    first = client.get("/api/errors?limit=1").json
    second = client.get(f"/api/errors?limit=1&cursor={first['next']}").json
    assert [each["qualname"] for each in (*first["errors"], *second["errors"])] == ["tasks.add", "tasks.echo"]
    assert second["next"] is None and client.get("/api/errors?state=muted").json["errors"] == []


@pytest.mark.parametrize("query", ["state=closed", "limit=0", "limit=501", "nope=1"])
def test_a_bad_filter_is_refused_by_name(world: World, query: str) -> None:
    answer = world.client("read").get(f"/api/errors?{query}")
    assert answer.status == 422
    assert answer.json["errors"][0]["path"] == query.split("=")[0]


def test_an_ended_job_is_forgotten_and_the_audit_knows_by_whom(world: World, client: Client) -> None:
    assert client.delete("/api/jobs/old").json == {"id": "old", "deleted": True}
    assert client.get("/api/jobs/old").status == 404
    assert (world.access.audit.page()[0].action, world.access.audit.page()[0].target) == ("delete", "old")
    assert client.delete("/api/jobs/old").status == 404
    waiting = client.post("/api/jobs", {"task": "add", "args": [1, 2]}).json["id"]
    assert client.delete(f"/api/jobs/{waiting}").status == 409, "it has not ended"
    assert client.get(f"/api/jobs/{waiting}").status == 200
