"""The power is cut: by default (`durability = full`) nothing that was answered 202 is lost, and all files are sound.

What ended may run again: settlements are not synced. But an accept that follows one syncs it, too.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.disk import Disk
from tests.acceptance.harm import COMMIT_S, SEED
from tests.support import rounds, wait_until

CUTS = rounds(1, soak=50)


class EnqueuedJob(NamedTuple):
    n: int
    id: str
    asked_at: float  # monotonic, before the request


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path / "d")
    yield deployment
    deployment.close()


@pytest.fixture
def disk(deployment: Deployment, tmp_path: Path) -> Iterator[Disk]:
    """Holds the queue, the history and the accounts; the ledger and what the processes say stay outside."""
    disk = Disk(deployment.folder / "data", tmp_path / "image")
    yield disk
    deployment.close()
    disk.close()


def post(deployment: Deployment, share: range, accepted: list[EnqueuedJob]) -> None:
    """Post jobs until the service is gone, and note those that were answered 202."""
    client, rng = deployment.client(5), random.Random(SEED + share.start)
    for n in share:
        asked_at = time.monotonic()
        try:
            answer = client.post("/api/jobs", {"task": "note", "args": [n, rng.choice((0.0, 0.0, 0.01, 0.1))]})
        except (OSError, HTTPException):
            return
        if answer.status == 202:
            accepted.append(EnqueuedJob(n, answer.body["id"], asked_at))
        time.sleep(rng.uniform(0, 0.03))


@pytest.mark.soak
@pytest.mark.parametrize("cut", range(CUTS))
def test_the_power_is_cut(deployment: Deployment, disk: Disk, cut: int):
    rng = random.Random(f"{SEED} {cut}")
    app = deployment.app(accounts=False)
    shares: list[list[EnqueuedJob]] = [[], []]
    clients = [
        threading.Thread(target=post, args=(deployment, range(i, 10**7, 2), share)) for i, share in enumerate(shares)
    ]
    for client in clients:
        client.start()
    wait_until(lambda: deployment.ledger.began() > 20 and min(map(len, shares)) > 5, 30, "jobs are accepted and run")
    time.sleep(rng.uniform(0, rounds(1, soak=7)))
    witness = deployment.folder / "data" / "witness"
    witness.write_text("not synced")
    disk.cut()
    cut_at = time.monotonic()
    app.kill_tree()
    for client in clients:
        client.join()
    disk.start()
    assert not witness.exists() or witness.stat().st_size == 0, "this was no power cut: what was not synced is there"

    for name in ("queue.db", "monitor.db", "access.db"):
        with closing(sqlite3.connect(deployment.folder / "data" / name)) as con:
            assert con.execute("pragma integrity_check").fetchall() == [("ok",)], name
    accepted = [each for share in shares for each in share if each.asked_at < cut_at]
    deployment.app()
    assert {job.state for job in deployment.wait_ended([each.id for each in accepted])} == {"done"}
    client = deployment.client()
    assert {client.get(f"/api/jobs/{each.id}").body["result"] for each in accepted} == {each.n for each in accepted}
    # Synced with the last accept: what ended before it does not run again.
    synced_at = max(each.asked_at for each in accepted)
    for runs in deployment.ledger.runs().values():
        for early in runs[:-1]:
            assert early.ended is None or early.ended > synced_at - COMMIT_S, (runs, synced_at)
