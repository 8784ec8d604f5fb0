"""Tasks, queues and workers: GET /api/tasks, /api/queues, /api/workers and their verbs."""

from __future__ import annotations

from typing import Any

from tests.api.client import Client
from tests.api.conftest import World


def by_name(answer: Any, key: str) -> dict[str, Any]:
    return {each.get("qualname", each.get("name")): each for each in answer.json[key]}


INTEGER = {"kind": "positional", "schema": {"type": "integer"}}


class TestTasks:
    def test_list(self, client: Client) -> None:
        answer = client.get("/api/tasks")
        assert answer.status == 200
        assert by_name(answer, "tasks")["tasks.add"] == {
            "name": "add",
            "qualname": "tasks.add",
            "doc": "Add two numbers.",
            "parameters": [
                {"name": "a", "type": "int", "default": None, "required": True, **INTEGER},
                {"name": "b", "type": "int", "default": 1, "required": False, **INTEGER},
            ],
            "options": {"retries": 3},
            "paused": False,
            "periodic": False,
        }

    def test_pause_and_resume(self, world: World, client: Client) -> None:
        paused = client.post("/api/tasks/add/pause")
        assert (paused.status, paused.json["paused"]) == (202, True)
        assert by_name(client.get("/api/tasks"), "tasks")["tasks.add"]["paused"] is True
        resumed = client.post("/api/tasks/tasks.add/resume")
        assert (resumed.status, resumed.json["paused"]) == (202, False)
        actions = [(line.action, line.target) for line in world.access.audit.page()]
        assert actions == [("resume task", "tasks.add"), ("pause task", "add")]

    def test_unknown_and_shared_names(self, world: World, client: Client) -> None:
        for verb in ("pause", "resume"):
            unknown = client.post(f"/api/tasks/adt/{verb}")
            assert (unknown.status, unknown.json["nearest"]) == (404, ["add"]), verb
            assert client.post(f"/api/tasks/twin/{verb}").status == 422, verb
        assert world.access.audit.page() == ()


class TestQueues:
    def test_list(self, client: Client) -> None:
        client.post("/api/jobs", {"task": "add", "args": [1], "queue": "slow"})
        slow = by_name(client.get("/api/queues"), "queues")["slow"]
        assert (slow["waiting"], slow["paused"]) == (1, False) and slow["oldest_age_s"] >= 0

    def test_pause_and_resume(self, world: World, client: Client) -> None:
        paused = client.post("/api/queues/slow/pause")
        assert (paused.status, paused.json) == (202, {"name": "slow", "paused": True})
        assert by_name(client.get("/api/queues"), "queues")["slow"]["paused"] is True
        resumed = client.post("/api/queues/slow/resume")
        assert (resumed.status, resumed.json) == (202, {"name": "slow", "paused": False})
        actions = [(line.action, line.target) for line in world.access.audit.page()]
        assert actions == [("resume queue", "slow"), ("pause queue", "slow")]

    def test_a_name_that_no_queue_can_have(self, world: World, client: Client) -> None:
        for name in ("a%20b", "%C3%BC", "x" * 65, "%00", "a%0A"):
            answer = client.post(f"/api/queues/{name}/pause")
            assert (answer.status, answer.json["type"]) == (404, "urn:duey:unknown-queue"), name
        assert world.control.storage.pauses() == set()


class TestWorkers:
    def test_list(self, world: World, client: Client) -> None:
        client.post("/api/jobs", {"task": "add", "args": [1], "id": "x"})
        world.control.start("x")
        (alive,) = client.get("/api/workers").json["workers"]
        contract = {"host", "pid", "started", "heartbeat", "workers", "running"}
        assert contract <= set(alive)
        assert (alive["alive"], alive["queues"]) == (True, ["*"])
        (running,) = alive["running"]
        assert (running["job"], running["task"], running["url"]) == ("x", "tasks.add", "/api/jobs/x")
        assert alive["started"] <= alive["heartbeat"] and "code" in alive

    def test_verbs(self, world: World, client: Client) -> None:
        for verb in ("quiet", "stop"):
            for unknown in ("nope", "2"):
                answer = client.post(f"/api/workers/{unknown}/{verb}")
                assert (answer.status, answer.json["type"]) == (404, "urn:duey:unknown-worker"), (unknown, verb)
            answer = client.post(f"/api/workers/1/{verb}")
            assert (answer.status, answer.json) == (202, {"id": "1", "asked": verb})
            assert world.control.storage.control_signals(1) == (True, verb == "stop")
        assert [(line.action, line.target) for line in world.access.audit.page()] == [("stop", "1"), ("quiet", "1")]
