"""How many keys, and how much memory, are left of jobs that have ended and expired."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from duey.model.event import COUNTED
from duey.storage import compaction
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job
from tests.support import needs, rounds
from tests.support.redis_server import MISSING, RedisServer, redis_binary

JOBS = rounds(400, soak=20_000)
TTL_S = 0.001
MB = 2**20  # 20,000 jobs take 20 of them; connections and buffers a few hundred KB


class Size(NamedTuple):
    keys: int
    bytes: int


def size_of(server: RedisServer) -> Size:
    with redis.Redis(port=server.port) as client:
        return Size(client.dbsize(), client.info("memory")["used_memory"])


def work_off(storage: RedisStorage, hand: Hand, name: str) -> None:
    """Enqueue JOBS jobs and run them; one in ten has logged something, so that its events are not compacted."""
    logged = '{"logs": [[1, "INFO", "said"]], "usage": [1.5, null]}'
    for start in range(0, JOBS, 100):
        storage.enqueue_jobs([job(f"{name}{n}") for n in range(start, min(start + 100, JOBS))])
    while claims := hand.claim(64):
        details = [logged if claim.job.seq % 10 == 0 else None for claim in claims]
        assert not hand.commit(*(ended(c, detail=detail) for c, detail in zip(claims, details, strict=True))).lost


def keep(storage: RedisStorage) -> None:
    """Remove what has expired."""
    time.sleep(2 * TTL_S)
    while storage.run_maintenance():
        pass


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with nothing else on it."""
    with RedisServer(needs(redis_binary(), MISSING), tmp_path / "redis") as server:
        yield server


@pytest.fixture
def storage(own_server: RedisServer, open_storage: Callable[..., RedisStorage]) -> RedisStorage:
    storage = open_storage(own_server.url, result_ttl_s=TTL_S, backlog_rows=JOBS // 4)
    storage.prepare()
    return storage


@pytest.mark.soak
def test_what_is_recorded_leaves_nothing(storage: RedisStorage, own_server: RedisServer, hand: Hand):
    def go_round(name: str) -> Size:
        work_off(storage, hand, name)
        while events := storage.read_outbox(2000):
            storage.delete_events(events)
        keep(storage)
        return size_of(own_server)

    first, second = go_round("a"), go_round("b")
    assert second.keys == first.keys < 20
    assert second.bytes < first.bytes + 2 * MB


@pytest.mark.soak
def test_what_nobody_records_is_bounded(
    storage: RedisStorage, own_server: RedisServer, hand: Hand, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compaction, "UNTOUCHED", JOBS // 10)
    sizes = []
    for name in "abcdef":
        work_off(storage, hand, name)
        keep(storage)
        with redis.Redis(port=own_server.port) as client:  # a minute passes
            gone = storage.server.key("gone")
            client.zadd(gone, {job_id: 1.0 for job_id in client.zrange(gone, 0, -1)})
        keep(storage)
        sizes.append(size_of(own_server))
    most = 2 * (JOBS // 4)
    assert storage.counts().events <= most
    assert all(size.keys < 3 * most + 20 for size in sizes), "a job has three keys, and is there as long as its events"
    assert sizes[-1].bytes < sizes[2].bytes + 2 * MB, "once it is full, it does not grow"
    assert any(row.kind == COUNTED for row in storage.read_outbox(JOBS))
