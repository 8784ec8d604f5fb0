"""A thousand mixed jobs from several HTTP clients: each executed as often as it should be, and reported right."""

from __future__ import annotations

import random
import threading
from typing import Any, NamedTuple

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.http_client import Client
from tests.acceptance.variants import sqlite_in_suite
from tests.support import rounds, wait_until

CLIENTS = 4
ENDED = ("done", "failed", "canceled", "expired")


class Expected(NamedTuple):
    """What is to be reported of a job, and how often its body runs."""

    state: str
    result: Any
    error: str | None
    attempts: int


def mixed(n: int, rng: random.Random) -> tuple[dict[str, Any], Expected]:
    """A request and what must come of it."""
    kind = rng.choice(["fast"] * 5 + ["slow", "failing", "retrying", "asking", "delayed", "prioritized"])
    done = Expected("done", n, None, 1)
    if kind == "slow":
        return {"task": "note", "args": [n, 0.05]}, done
    if kind == "failing":
        return {"task": "fail", "args": [n]}, Expected("failed", None, "ValueError", 1)
    if kind == "retrying":
        failures = rng.randint(1, 4)
        return {"task": "flaky", "kwargs": {"n": n, "failures": failures}}, done._replace(attempts=failures + 1)
    if kind == "asking":
        return {"task": "again", "args": [n, 0.1]}, done._replace(attempts=2)
    if kind == "delayed":
        return {"task": "note", "args": [n], "delay": round(rng.uniform(0.1, 0.6), 2)}, done
    if kind == "prioritized":
        return {"task": "workload.note", "args": [n], "priority": rng.randint(-10, 10)}, done
    return {"task": "note", "args": [n]}, done


def send(client: Client, requests: list[dict[str, Any]], ids: list[str], rng: random.Random) -> None:
    """POST them all, some one by one and some in batches, each under a key of its own."""
    while requests:
        if rng.random() < 0.5:
            batch, requests = requests[:20], requests[20:]
            answer = client.post("/api/jobs/batch", batch, Idempotency_Key=f"k{rng.random()}")
            assert answer.status == 202, answer
            ids += [job["id"] for job in answer.body["jobs"]]
        else:
            request, requests = requests[0], requests[1:]
            answer = client.post("/api/jobs", request)
            assert answer.status == 202, answer
            assert answer.headers["location"].endswith(f"/api/jobs/{answer.body['id']}")
            ids.append(answer.body["id"])


@pytest.mark.soak
@sqlite_in_suite
def test_a_thousand_mixed_jobs(deployment: Deployment):
    deployment.configure({"consumer": {"workers": 4}})
    deployment.app()
    count = rounds(1000, soak=20_000)
    plans = [mixed(n, random.Random(n)) for n in range(count)]
    shares = [list(range(i, count, CLIENTS)) for i in range(CLIENTS)]
    ids: list[list[str]] = [[] for _ in shares]
    clients = [
        threading.Thread(
            target=send, args=(deployment.client(), [plans[n][0] for n in share], ids[i], random.Random(1000 + i))
        )
        for i, share in enumerate(shares)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    found = {
        n: job_id
        for share, answered in zip(shares, ids, strict=True)
        for n, job_id in zip(share, answered, strict=True)
    }
    assert len(set(found.values())) == count
    looker = deployment.client()
    jobs = {n: looker.get(f"/api/jobs/{job_id}?wait=20").body for n, job_id in found.items()}
    runs = deployment.ledger.runs()
    for n, (_, expected) in enumerate(plans):
        job = jobs[n]
        error = job["error"] and job["error"]["type"]
        assert Expected(job["state"], job["result"], error, job["attempt"]) == expected, job
        assert len(runs[str(n)]) == expected.attempts
        assert job["crashes"] == 0
    assert len(runs) == count

    failed = sum(expected.state == "failed" for _, expected in plans)
    assert len(listed(looker, "failed")) == failed
    wait_until(lambda: looker.get("/readyz").status == 200, 30, "ready after the work")


def listed(client: Client, state: str) -> list[str]:
    """The ids of all jobs in a state, page by page."""
    ids: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"/api/jobs?state={state}&limit=50{cursor}").body
        ids += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            return ids
        cursor = f"&cursor={page['next']}"
