"""Sentinels make another server the primary while jobs are accepted, claimed and settled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.acceptance.deployment import Deployment
from tests.acceptance.producer import Producer
from tests.acceptance.variants import KINDS, SOAK
from tests.storage.redis.consistency import problems
from tests.support import needs, rounds, wait_until
from tests.support.redis_server import MISSING, RedisServer, redis_binary
from tests.support.replicas import Replicated, replicated

MORE = 30  # jobs that are accepted before a failover, and after it


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Replicated]:
    with replicated(needs(redis_binary(), MISSING), tmp_path / "redis", options=("--appendonly", "yes")) as made:
        yield made


@pytest.fixture
def deployment(servers: Replicated, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path / "d", "redis", servers.url, {"storage": {"replicas": 1}})
    yield made
    made.close()


def address(deployment: Deployment) -> str:
    return str(deployment.huey.storage.server.address)


def follow(former: RedisServer, primary: RedisServer) -> None:
    with redis.Redis(port=former.port) as client:
        client.replicaof("127.0.0.1", str(primary.port))


def accept_more(producers: list[Producer]) -> None:
    """Wait until each has been told that jobs are accepted."""
    before = [len(producer.accepted) for producer in producers]
    for producer, count in zip(producers, before, strict=True):
        wait_until(
            lambda producer=producer, count=count: len(producer.accepted) > count + MORE, 60, "jobs are accepted"
        )


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS if SOAK else KINDS[:1])
def test_nothing_that_was_acknowledged_is_lost(deployment: Deployment, servers: Replicated, kind: str) -> None:
    consumers = [deployment.consumer(2, kind) for _ in range(2)]
    producers = [Producer(deployment) for _ in range(2)]
    try:
        for n in range(rounds(1, soak=20)):
            accept_more(producers)
            former = servers.primary()
            if n % 2:
                former.kill()
                servers.wait_for_another(former)
                former.start()
            else:  # the former one goes on taking writes
                servers.fail_over()
            wait_until(lambda: address(deployment).endswith(f":{servers.primary().port}"), 30, "the client has moved")
            if SOAK:  # the Sentinels take ten seconds
                wait_until(servers.in_order, 60, "the former primary follows")
            else:
                follow(former, servers.primary())
            accept_more(producers)
    finally:
        for producer in producers:
            producer.stop()
    prefix = deployment.huey.storage.server.prefix
    with redis.Redis(port=servers.primary().port) as primary:
        wait_until(lambda: primary.zcard(f"{prefix}:live") == 0, 60, "all jobs have ended")
        assert not problems(primary, prefix)
    ids = [job_id for producer in producers for _, job_id in producer.accepted]
    found = [(job_id, deployment.huey.storage.get_job(job_id)) for job_id in ids]
    lost = [job_id for job_id, job in found if job is None or job.state != "done"]
    refused = [stored for producer in producers for stored in producer.refused]
    assert not lost, f"{len(lost)} of {len(ids)} were acknowledged and are lost"
    said = [line for each in consumers for line in each.err.splitlines() if "the primary is Redis at" in line]
    assert len(said) >= len(consumers), "each process says where the primary is now"
    print(f"{len(ids)} acknowledged, {len(refused)} refused, {refused.count(None)} of them may have been stored")
