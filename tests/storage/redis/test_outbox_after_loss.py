"""Redis loses its last changes after events were read: what happened then is not deleted unrecorded."""

from __future__ import annotations

from typing import Any

from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import jobs


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
