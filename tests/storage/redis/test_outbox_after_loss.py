"""Redis loses its last changes after events were read: what happens then is not deleted unrecorded, and what is lost is
said to be."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import jobs
from tests.support.redis_server import RedisServer
from tests.support.whole_service import whole_service


def keys(storage: RedisStorage) -> dict[bytes, Any]:
    """What stands in Redis, to be put back later: as on a replica that lacks what came then."""
    server = storage.server
    return {key: server.command("DUMP", key) for key in server.command("KEYS", f"{server.prefix}:*")}


def put_back(storage: RedisStorage, before: dict[bytes, Any]) -> None:
    server = storage.server
    server.command("DEL", *server.command("KEYS", f"{server.prefix}:*"))
    for key, value in before.items():
        server.command("RESTORE", key, 0, value)


def ids(storage: RedisStorage, term: int) -> list[str]:
    return [row.job.id for row in storage.read_outbox(10, term) if row.job]


def test_events_that_took_the_numbers_of_lost_ones_stay(storage: RedisStorage) -> None:
    term = storage.own_outbox("history", "here").term
    storage.enqueue_jobs(jobs("a"))
    storage.delete_events(storage.read_outbox(10, term), term)
    before = keys(storage)
    storage.enqueue_jobs(jobs("bc"))
    read = storage.read_outbox(10, term)
    put_back(storage, before)
    storage.enqueue_jobs(jobs("de"))
    assert [row.seq for row in storage.read_outbox(10)] == [row.seq for row in read], "the same numbers"
    storage.delete_events(read, term)
    assert ids(storage, term) == ["d", "e"]
    storage.delete_events(storage.read_outbox(10, term), term)
    assert ids(storage, term) == []


def test_events_that_were_read_before_a_loss_that_spares_them_are_deleted(storage: RedisStorage) -> None:
    term = storage.own_outbox("history", "here").term
    storage.enqueue_jobs(jobs("ab"))
    read = storage.read_outbox(10, term)
    before = keys(storage)
    storage.enqueue_jobs(jobs("c"))
    put_back(storage, before)
    storage.delete_events(read, term)
    assert ids(storage, term) == []


def test_a_job_that_redis_has_lost_is_not_said_to_be_taken_in_a_moment(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    settings = {
        "storage_backend": "redis",
        "storage_url": redis_server.url,
        "storage_name": f"t{uuid.uuid4().hex[:12]}",
    }
    with whole_service(tmp_path, **settings) as service:
        service.huey.task(name="add")(lambda a, b: a + b)
        before, client = keys(service.huey.storage), service.client()
        job_id = client.post("/api/jobs", {"task": "add", "args": [1, 2]}).json["id"]
        service.recorder.turn()
        assert client.get(f"/api/jobs/{job_id}").json["reason"] is None
        put_back(service.huey.storage, before)
        (listed,) = client.get("/api/jobs").json["jobs"]
        for found in (listed, client.get(f"/api/jobs/{job_id}").json):
            assert (found["id"], found["state"], found["reason"]) == (job_id, "queued", "gone")
        page = service.browser().get(f"/monitor/jobs/{job_id}")
        assert "The queue does not have this job any more, and no end is recorded" in page.words
        assert "Cancel" not in page.words
