"""A time-out is honoured, and harms nobody else: it strikes no lock, and what it ends lets go of everything."""

from __future__ import annotations

import pytest

from duey.monitor.history.recording.causes import own_frames
from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed, sqlite_in_suite, sqlite_only

HOW = ("logs", "logs_only", "prints", "waits", "locks", "tells", "enqueues", "asks_for_a_result")


@crossed
def test_no_time_out_leaves_a_lock_behind(deployment: Deployment, kind: str):
    """Bodies that are hardly ever in code of their own are stopped all the same, and the worker goes on."""
    deployment.configure({"tasks": {"modules": "workload, endless_tasks"}, "log": {"capture_print": "yes"}})
    tasks = deployment.load("endless_tasks")
    consumer = deployment.consumer(4, kind)
    jobs = [tasks.endless(how, timeout=0.05) for _ in range(12) for how in HOW]
    for job in deployment.wait_ended(jobs, 90):
        assert (job.state, job.error.type, job.error.message) == (
            "failed", "TaskTimeout", "it ran past its timeout of 0.05 s",
        ), job  # fmt: skip
    assert {job.crashes for job in deployment.wait_ended(jobs)} == {0}
    assert {job.state for job in deployment.wait_ended([deployment.tasks.note(n) for n in range(8)], 30)} == {"done"}
    assert [job.id for job in jobs if deployment.huey.is_locked(f"overdue {job.id}")] == []
    assert "killed" not in consumer.err
    consumer.popen.terminate()
    assert consumer.wait(30) == 0


@sqlite_in_suite
@pytest.mark.parametrize("kind", ["process"])
def test_a_timeout_is_honoured_whatever_the_body_does(deployment: Deployment, kind: str):
    deployment.consumer(4, kind, DUEY_TEST_DUMP_S="10")
    tasks = deployment.tasks
    jobs = [
        tasks.note(1, 60, timeout=0.5),
        tasks.deaf(2, 60, timeout=0.5),
        tasks.stuck(3, timeout=0.5),
        tasks.stuck(4, timeout=0.5, retries=1),
    ]
    neighbours = [tasks.note(n, 0.01) for n in range(10, 30)]
    ended = deployment.wait_ended(jobs, 40)
    assert {(job.state, job.error.type, job.crashes) for job in ended} == {("failed", "TaskTimeout", 0)}
    runs = deployment.ledger.runs()
    assert [len(runs[str(n)]) for n in (1, 2, 3, 4)] == [1, 1, 1, 2]
    assert [job.attempt for job in ended] == [1, 1, 1, 2]
    for job, function in zip(ended, ("note", "deaf", "stuck", "stuck"), strict=True):
        assert job.run_ms < 30_000 or function == "stuck"
        assert f"in {function}\n" in job.error.traceback and "/duey/" not in job.error.traceback, job.error.traceback
        assert set(own_frames(job.error.traceback)) == {f"workload.py:{function}"}
    assert {job.state for job in deployment.wait_ended(neighbours)} == {"done"}


@sqlite_only
def test_a_timeout_in_a_thread_does_what_it_can_and_says_what_it_cannot(deployment: Deployment):
    """Python code is stopped at its next step. What catches the timeout, or is in C, cannot be: the log says so."""
    consumer = deployment.consumer(4, "thread")
    tasks = deployment.tasks
    stopped, deaf, asleep = tasks.busy(1, 60, timeout=0.5), tasks.deaf(2, 4, timeout=0.5), tasks.note(3, 4, timeout=0.5)
    ended = deployment.wait_ended([stopped], 30)[0]
    assert (ended.state, ended.error.type, ended.crashes) == ("failed", "TaskTimeout", 0)
    assert ended.run_ms < 30_000 and set(own_frames(ended.error.traceback)) == {"workload.py:busy"}
    assert "/duey/" not in ended.error.traceback
    for job in (deaf, asleep):
        consumer.says(f"job {job.id} ignores its timeout, and a thread cannot be stopped: use process workers")
    late = deployment.wait_ended([deaf, asleep])
    assert [(job.state, job.error and job.error.type) for job in late] == [("done", None), ("failed", "TaskTimeout")]
    assert min(job.run_ms for job in late) >= 4000
    assert f"job {stopped.id} ignores" not in consumer.err
    assert deployment.wait_ended([tasks.note(4)])[0].state == "done"
