"""Valkey in place of Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from duey import errors
from duey.model.job import DONE, FAILED
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job, jobs, state
from tests.storage.redis.test_failover import promote
from tests.storage.redis.test_replicas import standing_still
from tests.support import free_port, needs, rounds, wait_until
from tests.support.redis_server import MISSING_VALKEY, RedisServer, valkey_binary
from tests.support.replicas import Replicated, Sentinel, replicated

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def valkey() -> str:
    return needs(valkey_binary(), MISSING_VALKEY)


@pytest.fixture(scope="module")
def pair(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with replicated(valkey, tmp_path_factory.mktemp("valkey"), sentinels=0) as found:
        yield found


def test_a_queue_on_valkey_runs_jobs_and_outlives_its_primary(pair: Replicated) -> None:
    storage = RedisStorage("x", url=pair.hosts, replicas=1)
    assert not [text for text in storage.prepare() if "appendonly" not in text]
    hand = Hand(storage)
    storage.enqueue_jobs([*jobs("abc"), job("u", unique_key="k"), job("later", eta=4e9)])
    done, failed = hand.claim(2)
    storage.settle_and_claim(hand.n, [ended(done, DONE), ended(failed, FAILED)], 0, ("*",))
    storage.retry(failed.job.id, None, 0)
    with standing_still(pair.servers[1]):  # asked again over a connection that changes nothing, too
        for _ in range(2):
            with pytest.raises(errors.StorageUnavailable, match="has it, but only 0 of the 1 replicas"):
                storage.enqueue_jobs([job("u", unique_key="k")])
            storage.server.close()
    storage.enqueue_jobs([job("u", unique_key="k")])
    promote(pair)
    wait_until(lambda: not storage.watch.overdue() and str(pair.servers[1].port) in storage.server.address, 30, "moved")
    found = {each: state(storage, each) for each in ("a", "b", "c", "u", "later")}
    assert found == {"a": "done", "b": "queued", "c": "queued", "u": "queued", "later": "scheduled"}
    hand.go()
    storage.close()


def test_a_node_of_a_valkey_cluster_and_a_sentinel_are_refused(valkey: str, tmp_path: Path) -> None:
    options = ["--save", "", "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with (
        RedisServer(valkey, tmp_path / "node", options) as node,
        Sentinel(valkey, tmp_path / "s", node.port, 1) as sentinel,
    ):
        for server, said in ((node, "is a node of a Redis Cluster"), (sentinel, "is a Sentinel: write")):
            storage = RedisStorage("x", url=server.url)
            with pytest.raises(errors.Misconfigured, match=said):
                storage.prepare()
            storage.close()


@pytest.mark.soak
def test_the_contract_and_all_that_concerns_redis_hold_on_valkey(valkey: str) -> None:
    if not rounds(False, soak=True):
        return
    command = [sys.executable, "-m", "pytest", "-q", "tests/contracts", "tests/storage/redis", "-k", "not valkey"]
    environ = {**os.environ, "DUEY_TEST_REDIS": valkey, "DUEY_TEST_SOAK": "0"}
    found = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stdout[-3000:]
