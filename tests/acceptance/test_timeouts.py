"""A time-out harms nobody else: it strikes no lock, and what it ends lets go of everything."""

from __future__ import annotations

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed

HOW = ("logs", "logs_only", "waits", "locks", "tells", "enqueues", "asks_for_a_result")


@crossed
def test_no_time_out_leaves_a_lock_behind(deployment: Deployment, kind: str):
    """Bodies that are hardly ever in code of their own are stopped all the same, and the worker goes on."""
    deployment.configure({"tasks": {"modules": "workload, endless_tasks"}})
    tasks = deployment.load("endless_tasks")
    consumer = deployment.consumer(4, kind)
    jobs = [tasks.endless(how, timeout=0.05) for _ in range(12) for how in HOW]
    for job in deployment.wait_ended(jobs, 90):
        assert (job.state, job.error.type, job.error.message) == (
            "failed", "TaskTimeout", "it ran past its timeout of 0.05 s",
        ), job  # fmt: skip
    assert {job.crashes for job in deployment.wait_ended(jobs)} == {0}
    assert {job.state for job in deployment.wait_ended([deployment.tasks.note(n) for n in range(8)], 30)} == {"done"}
    assert not deployment.huey.storage.data.has(f"{deployment.huey.name}.lock.overdue")
    assert "killed" not in consumer.err
    consumer.popen.terminate()
    assert consumer.wait(30) == 0
