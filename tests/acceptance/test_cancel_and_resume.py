"""A job that is canceled while it runs, and a long one that goes on after its worker was killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

from duey.model.job import JobRequest
from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import pairs
from tests.support import wait_until

GRACE_S = 1.0
ROWS, ROW_S = 40, 0.05


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    deployment.configure({"tasks": {"modules": "workload, limited_tasks"}})
    return deployment


@pytest.mark.parametrize(("backend", "how"), pairs(("sqlite", "redis"), ("deaf", "hold")))
def test_a_canceled_body_that_does_not_stop_is_killed_after_a_while(deployment: Deployment, how: str):
    deployment.consumer(2, "process", DUEY_TEST_CANCEL_GRACE_S=str(GRACE_S))
    job = getattr(deployment.tasks, how)("canceled", 60)
    deployment.wait_running(1)
    neighbour = deployment.tasks.note("neighbour", 2 * GRACE_S)
    deployment.wait_running(2)
    asked = time.monotonic()
    deployment.control.cancel(job.id)
    (ended,) = deployment.wait_ended([job], GRACE_S + 10)
    assert time.monotonic() - asked > GRACE_S
    assert (ended.state, ended.crashes) == ("canceled", 0)
    assert deployment.wait_ended([neighbour])[0].state == "done"
    assert len(deployment.ledger.runs_of("neighbour")) == 1
    assert deployment.wait_ended([deployment.tasks.note("after")])[0].state == "done"


@pytest.mark.parametrize(("backend", "kind", "end"), [("redis", "process", "kill"), ("sqlite", "thread", "stop")])
def test_a_long_job_goes_on_where_it_was_cut_off(deployment: Deployment, kind: str, end: str):
    deployment.configure({"consumer": {"shutdown_timeout_s": 0.2}})
    process = deployment.consumer(1, kind)
    know_load(deployment)
    task = deployment.control.enqueue([JobRequest("load", ("x", ROWS, ROW_S))]).jobs[0]

    def done() -> int:
        return sum(1 for n in deployment.ledger.runs() if n.startswith("load.x."))

    wait_until(lambda: done() >= ROWS // 3, 30, "a third of the rows are done")
    if end == "kill":
        process.kill_tree()
    else:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(15)
    before = done()
    deployment.consumer(1, kind)
    (ended,) = deployment.wait_ended([task])
    assert ended.state == "done"
    runs = deployment.ledger.runs()
    assert all(f"load.x.{row}" in runs for row in range(ROWS))
    again = sum(len(found) - 1 for found in runs.values())
    assert again < before  # it did not begin anew ...
    assert again * ROW_S < 1.0  # ... and repeated no more than was not kept yet


def know_load(deployment: Deployment) -> None:
    """Let this process know the task by its name; it runs in the consumers."""

    def load(n, rows, seconds):
        raise AssertionError

    load.__module__ = "limited_tasks"
    deployment.huey.task()(load)
