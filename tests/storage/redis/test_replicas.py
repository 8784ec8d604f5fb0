"""`[storage] replicas`: what is acknowledged stands on replicas too."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from duey import errors
from duey.config import ConfigError, load
from duey.model.job import DONE, FAILED
from duey.model.schedule import ScheduleRow
from duey.storage.redis import enqueue
from duey.storage.redis.connection import client
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job, jobs, look, state
from tests.support import needs
from tests.support.redis_server import MISSING, RedisServer, redis_binary
from tests.support.replicas import Replicated, replicated
from tests.support.whole_service import whole_service


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with replicated(needs(redis_binary(), MISSING), tmp_path_factory.mktemp("pair"), sentinels=0) as found:
        yield found


@pytest.fixture
def storage(pair: Replicated, request: pytest.FixtureRequest) -> Iterator[RedisStorage]:
    found = RedisStorage(request.node.name[:60], url=pair.hosts, replicas=1)
    yield found
    found.close()


@contextmanager
def standing_still(server: RedisServer) -> Iterator[None]:
    """It takes nothing in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "WAIT_S", 0.02)
        patch.setattr(enqueue, "RETRY_S", 0.05)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(server.pid, signal.SIGCONT)


def test_what_was_acknowledged_is_on_the_replica(pair: Replicated, storage: RedisStorage) -> None:
    with redis.Redis(port=pair.servers[1].port) as replica:
        for count, more in enumerate(([job("a")], jobs("bc"), [job("d", unique_key="k")]), 1):
            storage.enqueue_jobs(more)
            assert replica.zcard(storage.server.key("live")) == (1, 3, 4)[count - 1]


def test_too_few_replicas_are_said(pair: Replicated, storage: RedisStorage) -> None:
    """It is stored at the primary, so it may run, and the same request again is the same job."""
    with standing_still(pair.servers[1]):
        for more in ([job("a")], jobs("bc"), [job("d", unique_key="k")]):
            with pytest.raises(errors.StorageUnavailable, match=r"has it, but only 0 of the 1 replicas") as caught:
                storage.enqueue_jobs(more)
            assert caught.value.stored is None
        assert [state(storage, each) for each in "abcd"] == ["queued"] * 4
        storage.server.close()  # a connection that has changed nothing yet
        with pytest.raises(errors.StorageUnavailable, match="has it, but only 0 of the 1 replicas"):
            storage.enqueue_jobs([job("d", unique_key="k")])
    assert not storage.enqueue_jobs([job("d", unique_key="k")]).accepted[0].fresh
    with redis.Redis(port=pair.servers[1].port) as replica:
        assert replica.zcard(storage.server.key("live")) == 4


def test_what_people_do_is_acknowledged_by_replicas_and_what_workers_do_is_not(
    pair: Replicated, storage: RedisStorage
) -> None:
    hand = Hand(storage)
    storage.enqueue_jobs(jobs("abc"))
    row = ScheduleRow("s", "api", "{}", False, 0.0, 0.0, None, 0)
    with standing_still(pair.servers[1]):
        done, failed = hand.claim(2)
        storage.settle_and_claim(hand.n, [ended(done, DONE), ended(failed, FAILED)], 0, ("*",))
        acts: list[Callable[[], object]] = [
            lambda: storage.retry(failed.job.id, None, 0), lambda: storage.forget(done.job.id),
            lambda: storage.ask_to_stop(look(storage, hand.claim_one().job.id)),
            lambda: storage.pause("queue", "default"), lambda: storage.resume("queue", "default"),
            lambda: storage.schedule_store.add(row), lambda: storage.schedule_store.pause("s", True),
            lambda: storage.schedule_store.remove("s"),
        ]  # fmt: skip
        other = Hand(storage)  # consumers start all the same
        for act in acts:
            with pytest.raises(errors.StorageUnavailable, match="has it, but only 0 of the 1 replicas"):
                act()
    hand.go()
    other.go()


def test_a_client_of_the_api_is_told_that_it_may_have_been_stored(pair: Replicated, tmp_path: Path) -> None:
    """And the same request again is the same job, once there are replicas."""
    options = {"storage_backend": "redis", "storage_url": pair.hosts, "storage_name": "api", "storage_replicas": "1"}
    with whole_service(tmp_path, **options) as service:

        @service.huey.task()
        def add(a: int, b: int) -> int:
            return a + b

        client, call = service.client(), {"task": "add", "args": [1, 2]}
        with standing_still(pair.servers[1]):
            answer = client.post("/api/jobs", call, headers={"Idempotency-Key": "k"})
        assert (answer.status, answer.json["stored"]) == (503, None)
        assert "has it, but only 0 of the 1 replicas" in answer.json["detail"]
        assert "with the same Idempotency-Key" in answer.json["detail"]
        again = client.post("/api/jobs", call, headers={"Idempotency-Key": "k"})
        assert again.status == 202 and service.control.counts().queued == 1


def test_a_server_without_its_replicas_is_not_ready(pair: Replicated, storage: RedisStorage) -> None:
    storage.prepare()
    assert storage.problems() == []
    alone = RedisStorage("x", url=f"redis://127.0.0.1:{pair.servers[0].port}/0", replicas=2)
    assert [
        "has 1 of the 2 replicas that [storage] replicas asks for: start them" in each for each in alone.problems()
    ] == [True]
    alone.close()


def test_a_primary_that_refuses_writes_without_replicas_stores_nothing(
    pair: Replicated, storage: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enqueue, "RETRY_S", 0.05)
    with redis.Redis(port=pair.servers[0].port) as admin:
        admin.config_set("min-replicas-to-write", 2)
        try:
            with pytest.raises(errors.StorageBusy, match="fewer replicas than its min-replicas-to-write") as caught:
                storage.enqueue_jobs(jobs("a"))
        finally:
            admin.config_set("min-replicas-to-write", 0)
    assert caught.value.stored is False and state(storage, "a") is None


def test_a_user_that_may_not_wait_is_refused(pair: Replicated) -> None:
    port = pair.servers[0].port
    with redis.Redis(port=port) as admin:
        admin.execute_command("ACL", "SETUSER", "hasty", "on", ">s", "~*", "+@all", "-wait")
    storage = RedisStorage("x", url=f"redis://hasty:s@127.0.0.1:{port}/0", replicas=1)
    with pytest.raises(errors.StorageUnavailable, match=r"does not permit what Duey needs .*'wait'"):
        storage.prepare()
    storage.close()


def test_sqlite_has_no_replicas(tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text("[storage]\nreplicas = 1\n")
    with pytest.raises(ConfigError, match="expected 0 with backend = sqlite"):
        load(tmp_path / "config.ini", {})
