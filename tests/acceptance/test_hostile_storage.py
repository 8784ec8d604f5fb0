"""A hostile or damaged store: what was edited, swapped or copied is refused, nothing in it runs, and damage is said."""

from __future__ import annotations

import os
import pickle
import random
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import SOAK, pairs, sqlite_only
from tests.support import wait_until

SAID_WITHIN_S = 10.0 if SOAK else 30.0


class Store:
    """The stored payloads, as somebody with access to the storage sees and changes them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def read(self, job_id: str) -> bytes:
        payload = self._deployment.huey.storage.get_job(job_id).job.payload
        assert payload
        return payload

    def write(self, job_id: str, payload: bytes) -> None:
        if self._deployment.backend == "sqlite":
            with closing(sqlite3.connect(self._deployment.queue)) as con, con:
                assert con.execute("update jobs set payload = ? where id = ?", (payload, job_id)).rowcount == 1
            return
        server = self._deployment.huey.storage.server
        key = server.key(f"body:{job_id}")
        head, _, _ = server.command(b"GET", key).partition(b"\n")
        server.command(b"SET", key, head + b"\n" + payload)


class Exploit:
    """What runs code when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self):
        return os.mkdir, (self._path,)


def harm(store: Store, ids: list[str], exploited: Path) -> int:
    """Change stored payloads in every way that there is; how many jobs that spoils, counted from the first."""
    edited, copied, pickled, bomb, noise, cut, swapped, other = ids[:8]
    zero, other_number = (b"[0,", b"[99,") if b"[0," in store.read(edited) else (b"K\x00", b"K\x63")  # JSON, pickle
    assert zero in store.read(edited)
    store.write(edited, store.read(edited).replace(zero, other_number))
    store.write(copied, store.read(ids[-1]))
    store.write(pickled, pickle.dumps(Exploit(str(exploited))))
    store.write(bomb, zlib.compress(bytes(64 * 1024 * 1024)))
    store.write(noise, random.Random(1).randbytes(500))
    store.write(cut, store.read(cut)[:-1])
    first, second = store.read(swapped), store.read(other)
    store.write(swapped, second)
    store.write(other, first)
    return 8


@pytest.mark.parametrize(("backend", "serializer"), pairs(("sqlite", "redis"), ("json", "pickle")))
def test_what_was_changed_in_the_store_is_refused(deployment: Deployment, serializer: str):
    deployment.configure({"tasks": {"secret": "a secret of this test", "serializer": serializer}})
    jobs = [deployment.tasks.note(n, 0.0) for n in range(12)]
    exploited = deployment.folder / "exploited"
    spoiled = harm(Store(deployment), [job.id for job in jobs], exploited)
    deployment.consumer(2)
    ended = deployment.wait_ended(jobs)
    for job in ended[:spoiled]:
        assert (job.state, job.error.type, job.crashes) == ("failed", "PayloadUndecodable", 0)
        assert "cannot be read" in job.error.message
    assert [job.state for job in ended[spoiled:]] == ["done"] * (12 - spoiled)
    assert sorted(map(int, deployment.ledger.runs())) == list(range(spoiled, 12)), "a changed job has run"
    assert not exploited.exists()


def overwrite(queue: Path) -> None:
    """All but the first page."""
    with closing(sqlite3.connect(queue)) as con:
        con.execute("pragma wal_checkpoint(truncate)")
    with open(queue, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(random.Random(1).randbytes(size - 4096))


def empty(queue: Path) -> None:
    os.truncate(queue, 0)


def empty_all(queue: Path) -> None:
    for end in ("", "-wal"):
        os.truncate(f"{queue}{end}", 0)


@sqlite_only
@pytest.mark.parametrize("damage", [overwrite, empty, empty_all] if SOAK else [overwrite, empty])
def test_a_queue_that_is_damaged_while_it_is_used_is_said(deployment: Deployment, damage):
    deployment.app()
    client = deployment.client()
    jobs = [{"task": "note", "args": [n], "delay": 3600} for n in range(500)]
    assert client.post("/api/jobs/batch", jobs).status == 202
    damage(deployment.queue)

    def said() -> bool:
        health = client.get("/readyz")
        return health.status == 503 and "not a valid SQLite database" in str(health.body["problems"])

    wait_until(said, SAID_WITHIN_S, "the damage is said")
    answer = client.post("/api/jobs", {"task": "note", "args": [1]})
    assert answer.status == 503 and str(deployment.queue) in answer.body["detail"]
    assert client.get("/healthz").status == 200
