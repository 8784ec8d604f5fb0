"""The storage goes away while everything runs, and comes back: said in words, nothing lost, nothing to restart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.outage import QueueFile, Server, write_lock
from tests.acceptance.variants import SOAK, sqlite_only
from tests.support import needs, rounds, wait_until
from tests.support.redis_server import MISSING, RedisServer, redis_binary

RECOVERED_WITHIN_S = 10.0 if SOAK else 30.0
HELD_S = rounds(7, soak=15)


@pytest.fixture
def place(backend: str, tmp_path: Path) -> Iterator[tuple[Deployment, QueueFile | Server]]:
    """A deployment, and its storage as something that can leave and come back."""
    if backend == "sqlite":
        deployment = Deployment(tmp_path / "d")
        yield deployment, QueueFile(deployment)
        deployment.close()
        return
    options = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    with RedisServer(needs(redis_binary(), MISSING), tmp_path / "redis", options) as server:
        deployment = Deployment(tmp_path / "d", "redis", server.url)
        yield deployment, Server(server)
        deployment.close()


@pytest.mark.soak
@pytest.mark.parametrize("away_s", [3, 20, 100] if SOAK else [0])
def test_it_is_said_and_it_recovers(place: tuple[Deployment, QueueFile | Server], away_s: float):
    deployment, storage = place
    deployment.configure({"log": {"format": "json"}})
    app = deployment.app()
    client = deployment.client()
    before = [client.post("/api/jobs", {"task": "note", "args": [n, 1.0]}).body["id"] for n in range(4)]
    deployment.wait_running(2)
    storage.leave()

    refused = client.post("/api/jobs", {"task": "note", "args": [100]})
    assert refused.status == 503, refused
    assert int(refused.headers["retry-after"]) >= 1
    assert storage.name in refused.body["detail"]
    ready = client.get("/readyz")
    assert ready.status == 503 and any(storage.name in problem for problem in ready.body["problems"])
    assert client.get("/healthz").status == 200
    assert client.get(f"/api/jobs/{before[0]}").status == 503
    # What runs ends meanwhile; its outcome has nowhere to go yet.
    wait_until(lambda: not deployment.ledger.running(), 30, "the running bodies have ended")

    time.sleep(away_s)
    storage.come_back()
    client = deployment.client()  # the old connection was idle for too long
    wait_until(lambda: client.get("/readyz").status == 200, RECOVERED_WITHIN_S, "ready again without a restart")
    after = client.post("/api/jobs", {"task": "note", "args": [101]})
    assert after.status == 202, after
    ended = [client.get(f"/api/jobs/{job_id}?wait=20").body for job_id in [*before, after.body["id"]]]
    assert {job["state"] for job in ended} == {"done"}
    assert {n: len(runs) for n, runs in deployment.ledger.runs().items()} == dict.fromkeys("0123", 1) | {"101": 1}
    assert {job["crashes"] for job in ended} == {0}

    def log() -> list[str]:
        lines = [json.loads(line) for line in app.err.splitlines()]  # also those of the consumer
        return [line["message"] for line in lines if line["logger"] == "duey.consumer"]

    wait_until(lambda: "the storage can be used again" in log(), 30, "the supervisor says that it is back")
    others = ("where a job stands", "maintenance:")  # what could not be done meanwhile
    told = [message for message in log() if storage.name in message and not message.startswith(others)]
    assert 1 <= len(told) <= 1 + away_s / 60, f"once when it goes, and then once a minute: {told}"


@pytest.mark.soak
@sqlite_only
def test_results_wait_for_a_writer_that_holds_the_lock(deployment: Deployment):
    """Longer than the busy time-out of 5 s."""
    deployment.app()
    client = deployment.client()
    jobs = [client.post("/api/jobs", {"task": "note", "args": [n, 0.4]}).body["id"] for n in range(2)]
    retried = client.post("/api/jobs", {"task": "flaky", "args": [2, 1]}).body["id"]
    deployment.wait_running(2)
    with write_lock(deployment.queue):
        held_at = time.monotonic()
        refused = client.post("/api/jobs", {"task": "note", "args": [100]})
        assert refused.status == 503 and "locked" in refused.body["detail"], refused
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get(f"/api/jobs/{jobs[0]}").status == 200, "looking needs no lock"
        time.sleep(max(0.0, HELD_S - (time.monotonic() - held_at)))
    ended = [client.get(f"/api/jobs/{job_id}?wait=10").body for job_id in [*jobs, retried]]
    assert [(job["state"], job["crashes"]) for job in ended] == [("done", 0)] * 3
    runs = deployment.ledger.runs()
    assert [len(runs[str(n)]) for n in range(3)] == [1, 1, 2]
    assert "100" not in runs, "what was refused has run"
