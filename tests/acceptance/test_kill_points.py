"""The process dies at each named step of accept, claim, run, acknowledge and rescue (duey.faults).

Whatever the step: after a restart every job that was accepted ends, once, as if nothing had happened; a body runs again
only where its settlement was on no disk; a delivery is counted only where a body was running. `make soak` lets the
process die at the n-th time that it comes to the step, for many n.
"""

from __future__ import annotations

import itertools

import pytest
from huey.api import chord

from duey import faults
from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import check_once
from tests.acceptance.processes import kill
from tests.acceptance.variants import KINDS, SOAK, pairs
from tests.support import wait_until

OF_A_WORKER = [step for step in faults.STEPS if step.startswith(("settle.", "body."))]
OF_A_RESCUE = [step for step in faults.STEPS if step.startswith("reap.")]
OF_ENQUEUE = [step for step in faults.STEPS if step.startswith("enqueue.")]
OF_THE_WEB = pairs(OF_ENQUEUE, ("sqlite", "redis"))[0 if SOAK else 1 :]  # the first was tried by a chord's producer
OF_A_FAILURE = ["settle.written/2", "settle.committed/3", "body.ended/3"]
# The n-th time: in the middle of the chain and the chord below; the first time is before anything ran.
TIMES = range(1, 12) if SOAK else (4,)


def alternating(steps: list[str]) -> list[tuple[str, str, str]]:
    """Each step on both storages, with threads on one and processes on the other; in soak with both on both."""
    variants = list(itertools.product(("sqlite", "redis"), KINDS))
    chosen = [variants if SOAK else [variants[i % 2], variants[3 - i % 2]] for i in range(len(steps))]
    return [(step, *variant) for step, found in zip(steps, chosen, strict=True) for variant in found]


BODY_S = 0.01  # longer than the prefetcher's window: the prefetcher has no reason to wait with an acknowledgement
UNCOMMITTED = 4  # the flaky job's bodies are short, so that some may end in one window


@pytest.mark.soak
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(("step", "backend", "kind"), alternating(OF_A_WORKER))
def test_a_worker_dies_there(deployment: Deployment, step: str, kind: str, time: int):
    tasks = deployment.tasks
    first = [tasks.note(n, BODY_S) for n in range(3)]
    pipeline = deployment.huey.enqueue(tasks.step.s(10, 0, BODY_S).then(tasks.step, 10).then(tasks.step, 10))
    deployment.huey.enqueue(chord([tasks.step.s(20, x, BODY_S) for x in range(3)], tasks.total.s(20)))
    last = tasks.flaky(30, 2)
    consumer = deployment.consumer(1, kind, DUEY_TEST_DIE_AT=f"{step}/{time}")
    wait_until(lambda: deployment.control.counts().retrying == 0 and ended(deployment) == 11, 30, "all have ended")
    assert deployment.died(), "the process did not come to the step"

    jobs = all_jobs(deployment)
    assert [job.state for job in jobs] == ["done"] * 11
    assert [deployment.job(job).result for job in first] == [0, 1, 2]
    assert pipeline[-1] == 3
    assert [job.result for job in jobs if job.task == "total"] == [6]
    assert deployment.job(last).attempt == 3
    check_once(deployment, [job.id for job in jobs])
    runs = [run for found in deployment.ledger.runs().values() for run in found]
    crashes = sum(job.crashes for job in jobs)
    # Beside a turn the next job may be handled already.
    assert crashes == 1 if step.startswith("body.") else crashes <= 1
    again = len(runs) - 13
    assert again <= (crashes if step == "settle.committed" else UNCOMMITTED)
    assert consumer.popen.poll() is None


def ended(deployment: Deployment) -> int:
    return sum(job.finished_at is not None for job in all_jobs(deployment))


def all_jobs(deployment: Deployment) -> list:
    return list(deployment.control.jobs(limit=500).jobs)


@pytest.mark.parametrize(("step", "backend"), pairs(OF_A_FAILURE, ("sqlite", "redis")))
def test_what_has_failed_is_told_once_though_a_worker_dies_there(deployment: Deployment, step: str):
    deployment.configure({"tasks": {"modules": "workload, limited_tasks"}})
    deployment.enqueue_apart("limited_tasks", *(("doomed", n) for n in range(5)))
    deployment.consumer(1, DUEY_TEST_DIE_AT=step)
    wait_until(lambda: ended(deployment) == 10, 30, "all have failed, and that was told")
    assert deployment.died(), "the process did not come to the step"
    jobs = all_jobs(deployment)
    failed = {job.id for job in jobs if job.state == "failed"}
    handlers = [job for job in jobs if job.parent]
    assert len(failed) == 5 and sorted(job.parent for job in handlers) == sorted(failed)
    assert {(job.qualname, job.state) for job in handlers} == {("limited_tasks.doomed.on_failed", "done")}
    assert {f"told.{n}" for n in range(5)} <= set(deployment.ledger.runs())


@pytest.mark.parametrize(("step", "backend", "kind"), alternating(OF_A_RESCUE))
def test_a_rescuer_dies_there(deployment: Deployment, step: str, kind: str):
    """The parent that reaps its own dead child dies over it; the next consumer reaps both."""
    first = deployment.consumer(2, kind, DUEY_TEST_DIE_AT=step)
    jobs = [deployment.tasks.note(n, 0.8) for n in range(3)]
    deployment.wait_running(2)
    for pid in first.children():
        kill(pid)
    assert first.wait(30) == -9 and deployment.died()
    deployment.consumer(2, kind)
    found = deployment.wait_ended(jobs)
    assert [job.state for job in found] == ["done"] * 3
    # The parent that saw the deaths has charged them, or it died as well: then they are charged to nobody.
    charged = sum(job.crashes for job in found)
    assert charged == 0 or (charged <= 2 and step == "reap.committed")
    check_once(deployment, [job.id for job in jobs])
    runs = deployment.ledger.runs()
    again = {n for n, each in runs.items() if len(each) > 1}  # also one that ended too late to be committed
    assert {n for n, each in runs.items() if each[0].ended is None} <= again
    assert 1 <= len(again) <= 2 and sum(map(len, runs.values())) == 3 + len(again)


@pytest.mark.parametrize(("step", "backend"), OF_THE_WEB)
def test_the_web_process_dies_there(deployment: Deployment, step: str):
    """A client that got no answer asks again with the same key: the job is there once."""
    deployment.app("--web", DUEY_TEST_DIE_AT=step)
    body = {"task": "note", "args": [1]}
    with pytest.raises(OSError):
        deployment.client().post("/api/jobs", body, Idempotency_Key="the-key")
    assert deployment.died()
    assert deployment.control.counts().queued == (step == "enqueue.committed")

    deployment.app()
    answer = deployment.client().post("/api/jobs", body, Idempotency_Key="the-key")
    assert answer.status in (200, 202)
    assert deployment.wait_ended([answer.body["id"]])[0].state == "done"
    assert len(all_jobs(deployment)) == len(deployment.ledger.runs_of(1)) == 1
