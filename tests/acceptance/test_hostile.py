"""A hostile or damaged store: what was edited, swapped or copied is refused, nothing in it runs, and damage is said."""

from __future__ import annotations

import os
import pickle
import random
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest
import redis

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import sqlite_only
from tests.support import wait_until

SAID_WITHIN_S = 10.0


class Store:
    """The stored payloads, as somebody with access to the storage sees and changes them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def read(self, job_id: str) -> bytes:
        payload = self._deployment.huey.storage.look(job_id).payload
        assert payload
        return payload

    def write(self, job_id: str, payload: bytes) -> None:
        if self._deployment.backend == "sqlite":
            with closing(sqlite3.connect(self._deployment.queue)) as con, con:
                assert con.execute("update jobs set payload = ? where id = ?", (payload, job_id)).rowcount == 1
            return
        storage = self._deployment.huey.storage
        with redis.Redis.from_url(storage._url) as server:
            key = storage.server.key(f"body:{job_id}")
            head, _, _ = server.get(key).partition(b"\n")
            server.set(key, head + b"\n" + payload)


class Exploit:
    """What runs code when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self):
        return os.mkdir, (self._path,)


def edited(store: Store, ids: list[str], deployment: Deployment) -> None:
    payload = store.read(ids[0])
    assert payload.count(b"[0,") == 1
    store.write(ids[0], payload.replace(b"[0,", b"[7,"))


def swapped(store: Store, ids: list[str], deployment: Deployment) -> None:
    first, second = store.read(ids[0]), store.read(ids[1])
    store.write(ids[0], second)
    store.write(ids[1], first)


def copied(store: Store, ids: list[str], deployment: Deployment) -> None:
    store.write(ids[0], store.read(ids[2]))


def pickled(store: Store, ids: list[str], deployment: Deployment) -> None:
    store.write(ids[0], pickle.dumps(Exploit(str(deployment.folder / "exploited"))))


def bomb(store: Store, ids: list[str], deployment: Deployment) -> None:
    store.write(ids[0], zlib.compress(bytes(64 * 1024 * 1024)))


def noise(store: Store, ids: list[str], deployment: Deployment) -> None:
    store.write(ids[0], random.Random(1).randbytes(500))


@pytest.mark.parametrize("harm", [edited, swapped, copied, pickled, bomb, noise])
@pytest.mark.parametrize("backend", ["sqlite", "redis"])
def test_what_was_changed_in_the_store_is_refused(
    deployment: Deployment, harm: Callable[[Store, list[str], Deployment], None]
):
    deployment.configure({"tasks": {"secret": "a secret of this test"}})
    jobs = [deployment.tasks.note(n, 0.0) for n in range(4)]
    harm(Store(deployment), [job.id for job in jobs], deployment)
    deployment.consumer(2)
    ended = deployment.wait_ended(jobs)
    refused = {job.id for job in ended if job.state == "failed"}
    assert refused == {job.id for job in (jobs[:2] if harm is swapped else jobs[:1])}
    for job in ended:
        if job.state == "failed":
            assert job.error.type == "PayloadUndecodable"
            assert job.args == ["[unreadable]"] or harm in (edited, swapped, copied)
    ran = set(deployment.ledger.runs())
    assert ran == ({"2", "3"} if harm is swapped else {"1", "2", "3"})
    assert not (deployment.folder / "exploited").exists()


@sqlite_only
def test_a_queue_that_is_damaged_while_it_is_used_is_said(deployment: Deployment):
    deployment.app()
    client = deployment.client()
    jobs = [{"task": "note", "args": [n], "delay": 3600} for n in range(500)]
    assert client.post("/api/jobs/batch", jobs).status == 202
    with closing(sqlite3.connect(deployment.queue)) as con:
        con.execute("pragma wal_checkpoint(truncate)")
        pages = con.execute("pragma page_count").fetchone()[0]
    with open(deployment.queue, "r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(4096 * (pages - 1)))

    def said() -> bool:
        health = client.get("/readyz")
        return health.status == 503 and any("sound" in problem for problem in health.body["problems"])

    wait_until(said, SAID_WITHIN_S, "the damage is said")
    answer = client.post("/api/jobs", {"task": "note", "args": [1]})
    assert answer.status == 503 and str(deployment.queue) in answer.body["detail"]
    assert client.get("/healthz").status == 200
