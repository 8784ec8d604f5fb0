"""The disk fills up while jobs finish: new ones are refused in words, and no result, retry or callback is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huey.api import chord

from duey.model.job import Job
from tests.acceptance.deployment import Deployment
from tests.acceptance.disk import Disk
from tests.acceptance.processes import kill
from tests.acceptance.variants import KINDS, SOAK
from tests.support import rounds, wait_until

FULL_S = rounds(1, soak=10)
RECOVERED_WITHIN_S = 10.0 if SOAK else 30.0
RUNS = dict.fromkeys("0123", 1) | {"10": 3, "11": 2}
RUNS |= dict.fromkeys(("20.0", "20.1", "20.2", "30.0", "30.1", "30.2", "30.total"), 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "d" / "data", tmp_path / "image", 96)
    yield disk
    disk.close()


@pytest.fixture
def deployment(disk: Disk, tmp_path: Path) -> Iterator[Deployment]:
    """Its queue, books and accounts on the disk; the ledger and what the processes say stay outside."""
    deployment = Deployment(tmp_path / "d")
    yield deployment
    deployment.close()


def jobs(deployment: Deployment) -> list[Job]:
    return list(deployment.control.jobs(limit=500).jobs)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS if SOAK else KINDS[:1])
def test_the_disk_is_full_while_jobs_finish(deployment: Deployment, disk: Disk, kind: str):
    deployment.configure({"consumer": {"worker_type": kind, "workers": 4}})
    app = deployment.app()
    client, tasks = deployment.client(), deployment.tasks
    notes = [tasks.note(n, 1.0) for n in range(4)]
    deployment.wait_running(4)
    # Behind those: what has something to lose when it ends while the disk is full.
    flaky, again = tasks.flaky(10, 2), tasks.again(11, 0.1)
    pipeline = deployment.huey.enqueue(tasks.step.s(20, 0).then(tasks.step, 20).then(tasks.step, 20))
    deployment.huey.enqueue(chord([tasks.step.s(30, x) for x in range(3)], tasks.total.s(30)))

    def refused(task: str, *args: object) -> bool:
        disk.leave()  # again: a checkpoint gives some room back
        answer = client.post("/api/jobs", {"task": task, "args": args, "delay": 3600})
        assert answer.status in (202, 503), answer
        return answer.status == 503 and "full" in answer.body["detail"] and int(answer.headers["retry-after"]) >= 1

    def said() -> bool:
        ready = client.get("/readyz")
        return ready.status == 503 and "full" in ready.body["detail"]

    wait_until(lambda: refused("locked", 99, "x" * 1_000_000, 0), 20, "the room that the log has beforehand is used up")
    wait_until(lambda: refused("note", 100), 30, "a defer is refused because the disk is full")
    full_at = time.monotonic()
    assert client.get("/healthz").status == 200
    assert client.get(f"/api/jobs/{notes[0].id}").status == 200, "looking needs no room"
    wait_until(said, RECOVERED_WITHIN_S, "/readyz says that the disk is full")
    wait_until(lambda: not deployment.ledger.running(), 30, "the running bodies have ended")
    wait_until(lambda: time.monotonic() > full_at + FULL_S, FULL_S, "it was full for so long")

    disk.come_back()
    wait_until(lambda: ended(deployment) == 13, RECOVERED_WITHIN_S, "all have ended")
    wait_until(lambda: client.get("/readyz").status == 200, RECOVERED_WITHIN_S, "ready again without a restart")
    found = [job for job in jobs(deployment) if job.state != "scheduled"]
    assert {(job.state, job.crashes) for job in found} == {("done", 0)}
    assert [deployment.job(job).result for job in (*notes, flaky, again)] == [0, 1, 2, 3, 10, 11]
    assert pipeline[-1] == 3
    assert [job.result for job in found if job.task == "total"] == [6]
    assert {n: len(runs) for n, runs in deployment.ledger.runs().items()} == RUNS
    assert "died" not in app.err


def ended(deployment: Deployment) -> int:
    return sum(job.finished_at is not None for job in jobs(deployment))


def test_a_worker_that_starts_on_a_full_disk_says_so_and_works_when_there_is_room(deployment: Deployment, disk: Disk):
    consumer = deployment.consumer(1)

    def refused() -> bool:
        disk.leave()  # again: the log, and the room in it, goes with the last who has it open
        for worker in deployment.control.workers():  # one that has not entered yet has still to say so
            kill(worker.pid) if worker.alive else None
        return "no worker can start: " in consumer.err

    wait_until(refused, 30, "a worker says that it cannot enter")
    disk.come_back()
    deployment.wait_taking(consumer)
    assert deployment.wait_ended([deployment.tasks.note(1)], RECOVERED_WITHIN_S)[0].state == "done"
    assert "Traceback" not in consumer.err and "SIGBUS" not in consumer.err


def test_a_service_starts_on_a_small_disk(tmp_path: Path):
    """The room that the log gets beforehand, 16 MB, must not take what the other files need."""
    disk = Disk(tmp_path / "d" / "data", tmp_path / "image", 14)
    deployment = Deployment(tmp_path / "d")
    try:
        deployment.app()
        assert deployment.client().post("/api/jobs", {"task": "note", "args": [1]}).status == 202
        assert deployment.wait_ended(jobs(deployment), RECOVERED_WITHIN_S)[0].state == "done"
    finally:
        deployment.close()
        disk.close()
