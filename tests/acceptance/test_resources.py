"""What attempts use is measured, what uses too much is killed, and a worker process that keeps too much is replaced."""

from __future__ import annotations

import pytest

from duey.monitor.history.recording.causes import own_frames
from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed, crossed_over, sqlite_in_suite
from tests.support import wait_until

MB = 1024 * 1024


def used(deployment: Deployment) -> dict[str, list[float]]:
    """By job: processor time in ms and the peak in bytes, as the history gets them."""
    events = deployment.huey.lifecycle.read_events(1000)
    return {event.job_id: event.detail["usage"] for event in events if "usage" in event.detail}


@crossed
def test_what_attempts_use_is_measured(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, hungry_tasks"}})
    tasks = deployment.load("hungry_tasks")
    consumer = deployment.consumer(1, kind)
    large, small = (tasks.uses(megabytes, 0.05) for megabytes in (120, 1))
    short, failing = tasks.where(), tasks.uses("many", 1)
    deployment.wait_ended([large, small, short, failing])
    found = used(deployment)
    assert short.id not in found, "bodies of less than 10 ms are not measured"
    assert min(found[large.id][0], found[small.id][0]) >= 40
    if kind == "thread":
        assert found[large.id][1] is None, "of a thread it cannot be told"
        assert "max_memory_mb of hungry_tasks.grows needs process workers" in consumer.err
    else:
        assert found[large.id][1] - found[small.id][1] > 100 * MB, "each has a peak of its own"


@sqlite_in_suite
@pytest.mark.parametrize("kind", ["process"])
def test_a_body_that_uses_more_than_its_task_may_is_killed(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, hungry_tasks"}})
    tasks = deployment.load("hungry_tasks")
    consumer = deployment.consumer(2, kind)
    (job,) = deployment.wait_ended([tasks.grows()], 30)
    assert (job.state, job.error.type, job.crashes) == ("failed", "MemoryExceeded", 0)
    assert job.error.message.startswith("killed: it used ") and "max_memory_mb of 200" in job.error.message
    assert own_frames(job.error.traceback)[0] == "hungry_tasks.py:grows"
    assert deployment.wait_ended([tasks.uses(300, 0.05)])[0].state == "done", "others may use more"
    assert "more than its max_memory_mb of 200: it is killed" in consumer.err


@crossed_over
def test_a_worker_process_that_keeps_too_much_is_replaced(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, hungry_tasks"}, "consumer": {"max_memory_mb": 300}})
    tasks = deployment.load("hungry_tasks")
    consumer = deployment.consumer(1, kind)
    before, goes_on = deployment.wait_ended([tasks.leaks(10), tasks.where()])
    assert before.result == goes_on.result
    (leaked,) = deployment.wait_ended([tasks.leaks(400)])
    assert leaked.result == before.result
    consumer.says("has more than max_memory_mb: another one takes over")
    wait_until(lambda: deployment.wait_ended([tasks.where()])[0].result != before.result, 15, "another process works")
    wait_until(lambda: not any(w.pid == before.result for w in deployment.control.workers()), 15, "the old one is gone")
    assert "died" not in consumer.err
