"""Tokens that are limited to tasks: what they can do, and that they learn nothing of any other task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duey import config
from duey.monitor.history import History
from tests.api.client import Answer, Client
from tests.api.conftest import World, make_world

# Registered; by its full name; of two modules; periodic; near a registered name; of nobody.
OTHERS = ("echo", "tasks.echo", "twin", "periodic.night", "ech", "nothing", "tasks", "x" * 200)


def mute(answer: Answer, name: str) -> tuple[int, dict[str, str], str]:
    """All that an answer tells, but for what was asked."""
    headers = {key: value for key, value in answer.headers.items() if key != "content-length"}
    return answer.status, headers, answer.body.decode().replace(name, "NAME")


def test_a_token_of_one_task_enqueues_it_by_both_of_its_names_and_nothing_else(world: World, client: Client) -> None:
    limited = world.client("enqueue:add")
    full = world.client("enqueue:tasks.add", "read:tasks.add")
    for each in (limited, full):
        for name in ("add", "tasks.add"):
            answer = each.post("/api/jobs", {"task": name, "args": [1, 2]})
            assert answer.status == 202 and set(answer.json) >= {"id", "state", "url"}
        assert each.post("/api/jobs/batch", [{"task": "add", "args": [1]}] * 2).status == 202
    assert set(limited.post("/api/jobs", {"task": "add", "args": [1]}).json) == {"id", "state", "url"}
    assert full.post("/api/jobs", {"task": "add", "args": [1]}).json["task"] == "add"
    before = len(world.control.all)
    asked: list[dict[str, Any]] = [{"args": [1]}, {"kwargs": {"nope": 1}}, {"unique": "u"}, {"delay": 5, "id": "mine"}]
    for more in asked:
        alone = {str(mute(limited.post("/api/jobs", {"task": name, **more}), name)) for name in OTHERS}
        assert len(alone) == 1 and "has the scope enqueue for add only" in alone.pop()
        mixed = [{"task": "add", "args": [1]}]
        batch = {str(mute(limited.post("/api/jobs/batch", [*mixed, {"task": n, **more}]), n)) for n in OTHERS}
        assert len(batch) == 1 and "403" in batch.pop()
    assert len(world.control.all) == before, "all or none, and nothing of another task"


def test_every_other_endpoint_is_closed_to_it(world: World, client: Client) -> None:
    limited = world.client("read:add", "enqueue:add")
    job = client.post("/api/jobs", {"task": "add", "args": [1]}).json["id"]
    tried = 0
    for endpoint in world.api.endpoints:
        if endpoint.scope is None or endpoint.of_tasks:
            continue
        tried += 1
        path = endpoint.path
        for name in ("{id}", "{name}", "{schedule}"):
            path = path.replace(name, job if name == "{id}" else "add")
        answer = limited.call(endpoint.method, path, b"{}" if endpoint.body else b"", "application/json")
        assert (answer.status, answer.json["type"]) == (403, "urn:duey:scope"), (endpoint.method, path)
    assert tried > 10
    schedule = {"name": "mine", "task": "echo", "cron": "@daily"}
    for task in ("add", "echo", "nothing"):
        assert limited.post("/api/schedules", {**schedule, "task": task}).status == 403
    assert "mine" not in {each.name for each in world.control.schedules.all()}
    assert limited.get("/readyz").json.get("problems") == world.client().get("/readyz").json.get("problems")


def test_a_token_reads_the_jobs_of_its_task_and_of_no_other(world: World, client: Client) -> None:
    mine = client.post("/api/jobs", {"task": "add", "args": [1]}).json["id"]
    other = client.post("/api/jobs", {"task": "echo", "args": ["secret"]}).json["id"]
    limited = world.client("read:add")
    assert limited.get(f"/api/jobs/{mine}").json["args"] == [1]
    assert limited.get(f"/api/jobs/{mine}?wait=0.01").json["id"] == mine
    for wait in ("", "?wait=0.01", "?wait=30"):
        told = {str(mute(limited.get(f"/api/jobs/{each}{wait}"), each)) for each in (other, "0" * 32)}
        assert len(told) == 1 and "404" in told.pop(), wait
    assert [job["id"] for job in limited.get("/api/jobs?task=add").json["jobs"]] == [mine]
    assert [job["id"] for job in limited.get("/api/jobs?task=tasks.add&state=queued").json["jobs"]] == [mine]
    pages = {str(mute(limited.get(f"/api/jobs?task={name}"), name)) for name in OTHERS}
    assert len(pages) == 1 and "403" in pages.pop()
    for query in ("", "?q=echo", f"?q={other}", "?state=queued", "?by=token-0"):
        assert limited.get(f"/api/jobs{query}").status == 403, query
    assert limited.post("/api/jobs", {"task": "add", "args": [1]}).status == 403, "it may not enqueue"


def test_attempts_and_log_are_those_of_its_task(tmp_path: Path) -> None:
    history = History(f"sqlite:///{tmp_path / 'monitor.db'}", config.load(environ={}).monitor)
    world = make_world(tmp_path, history=history)
    client, limited = world.client("admin"), world.client("read:add")
    mine = client.post("/api/jobs", {"task": "add", "args": [1]}).json["id"]
    other = client.post("/api/jobs", {"task": "echo"}).json["id"]
    for what in ("attempts", "log"):
        answer = limited.get(f"/api/jobs/{mine}/{what}")
        assert answer.status == 200 and answer.json == client.get(f"/api/jobs/{mine}/{what}").json
        told = {str(mute(limited.get(f"/api/jobs/{each}/{what}"), each)) for each in (other, "0" * 32)}
        assert len(told) == 1 and "404" in told.pop(), what
    history.close()


def test_an_id_that_another_task_holds_is_answered_with_a_receipt_at_most(world: World, client: Client) -> None:
    client.post("/api/jobs", {"task": "echo", "args": ["secret"], "id": "taken"})
    limited = world.client("enqueue:add", "read:add")
    answer = limited.post("/api/jobs", {"task": "add", "args": [1], "id": "taken"})
    assert answer.status == 200 and set(answer.json) == {"id", "state", "url"}
    assert limited.get("/api/jobs/taken").status == 404


def test_a_name_that_became_ambiguous_allows_nothing(world: World) -> None:
    limited = world.client("enqueue:twin")
    assert limited.post("/api/jobs", {"task": "twin"}).status == 403
    assert limited.post("/api/jobs", {"task": "tasks.twin"}).status == 403
    assert world.client("enqueue:tasks.twin").post("/api/jobs", {"task": "tasks.twin"}).status == 202


def test_the_refusal_stands_in_the_security_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.client("enqueue:add").post("/api/jobs", {"task": "echo"})
    line = "scope-refused address=192.0.2.7 who=token-0 scope=enqueue path=/api/jobs"
    assert [record.getMessage() for record in caplog.records] == [line]
