"""Redis loses its last changes while jobs are accepted, claimed and settled, in a failover or when it is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.acceptance.deployment import Deployment
from tests.acceptance.producer import Producer
from tests.acceptance.variants import KINDS, SOAK
from tests.storage.redis.consistency import problems
from tests.storage.redis.lost_changes import Logged, Pair, running_logged, running_pair
from tests.support import rounds, wait_until

CUT = 30  # jobs that are accepted before what is lost, and as many meanwhile


@pytest.fixture(params=[running_logged, running_pair] if SOAK else [running_logged])
def redis_that_loses(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair | Logged]:
    with request.param(tmp_path) as made:
        yield made


@pytest.fixture
def deployment(redis_that_loses: Pair | Logged, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path / "d", "redis", redis_that_loses.url)
    yield made
    made.close()


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS if SOAK else KINDS[:1])
def test_what_redis_loses_leaves_nothing_stuck(deployment: Deployment, redis_that_loses: Pair | Logged, kind: str):
    consumers = [deployment.consumer(2, kind) for _ in range(2)]
    producer = Producer(deployment)
    kept: list[tuple[int, str]] = []
    after = 0
    try:
        for _ in range(rounds(1, soak=10)):
            start = len(producer.accepted)
            wait_until(lambda start=start: len(producer.accepted) > start + CUT, 30, "jobs are accepted")
            before = len(producer.accepted)
            redis_that_loses.cut()
            kept += producer.accepted[after:before]
            wait_until(lambda before=before: len(producer.accepted) > before + CUT, 30, "jobs are accepted and lost")
            redis_that_loses.lose()
            after = len(producer.accepted)
            wait_until(lambda after=after: len(producer.accepted) > after + CUT, 30, "jobs are accepted again")
    finally:
        producer.stop()
    kept += producer.accepted[after + 1 :]
    server = redis.Redis(port=redis_that_loses.first.port)
    prefix = deployment.huey.storage.server.prefix
    wait_until(lambda: server.zcard(f"{prefix}:live") == 0, 30, "all jobs have ended")
    wait_until(lambda: not problems(server, prefix), 10, "all keys agree")  # they are read one after the other
    found = [deployment.huey.storage.get_job(job_id) for _, job_id in kept]
    assert {job and job.state for job in found} == {"done"}, "what was accepted before a cut or after it is there"
    runs = deployment.ledger.runs()
    assert all(runs[str(n)] for n, _ in kept)
    lost = [n for n, _ in set(producer.accepted) - set(kept)]
    print(f"{len(lost)} of {len(producer.accepted)} jobs were accepted and lost")
    print("\n".join(line for each in consumers for line in each.err.splitlines() if "does not hold" in line))
