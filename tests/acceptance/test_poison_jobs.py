"""Jobs that take their worker down, or try to: failed and visible within three deliveries, neighbours unharmed."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.processes import kill
from tests.acceptance.variants import crossed, crossed_over, sqlite_in_suite, sqlite_only
from tests.support import wait_until

NEIGHBOURS_WITHIN_S = 15.0
DEADLY = ("exit", "segfault", "out of memory")
# What the body raises, or returns, and the type of the error that is shown.
HARMLESS = {
    "SystemExit": "SystemExit",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "CancelledError": "CancelledError",
    "GeneratorExit": "GeneratorExit",
    "memory limit": "MemoryError",
    "broken repr": "Broken",
    "result": "UnserializableError",
}


@crossed
def test_poison_fails_and_its_neighbours_finish(deployment: Deployment, kind: str):
    tasks = deployment.tasks
    consumer = deployment.consumer(4, kind)
    neighbours = [tasks.note(n, 0.02) for n in range(20)]
    deadly = [tasks.poison(100 + i, how) for i, how in enumerate(DEADLY)]
    neighbours += [tasks.note(n, 0.02) for n in range(20, 40)]
    harmless = [tasks.poison(200 + i, how) for i, how in enumerate(HARMLESS)]
    neighbours += [tasks.note(n, 0.02) for n in range(40, 60)]
    since = time.monotonic()

    ended = deployment.wait_ended(neighbours, NEIGHBOURS_WITHIN_S)
    assert [job for job in ended if job.state != "done"] == []
    assert time.monotonic() - since < NEIGHBOURS_WITHIN_S

    for job in deployment.wait_ended(deadly, NEIGHBOURS_WITHIN_S):
        assert (job.state, job.crashes, job.error.type) == ("failed", 3, "WorkerDied")
        assert job.error.message.startswith("its worker died 3 times, last on ") and " as pid " in job.error.message
    for job, error in zip(deployment.wait_ended(harmless), HARMLESS.values(), strict=True):
        assert (job.state, job.crashes, job.attempt, job.error.type) == ("failed", 0, 1, error)
    runs = deployment.ledger.runs()
    # At most: one that a neighbour took down in its first microsecond wrote nothing here.
    assert all(1 <= len(runs[str(100 + i)]) <= 3 for i in range(len(DEADLY)))
    assert [len(runs[str(200 + i)]) for i in range(len(HARMLESS))] == [1] * len(HARMLESS)
    assert consumer.popen.poll() is None
    assert deployment.control.health().ok


@crossed_over
def test_what_must_not_run_twice_fails_at_the_first_death(deployment: Deployment, kind: str):
    consumer = deployment.consumer(2, kind)
    once = deployment.tasks.only_once(1, 0.6)
    twice = deployment.tasks.note(2, 0.6)
    deployment.wait_running(2)
    for pid in consumer.children():
        kill(pid)
    failed, done = deployment.wait_ended([once, twice])
    assert (failed.state, failed.crashes, failed.error.type) == ("failed", 1, "WorkerDied")
    assert failed.error.message.startswith("its worker died, last on ")
    assert (done.state, done.crashes) == ("done", 1)
    assert len(deployment.ledger.runs_of(1)) == 1

    deployment.control.retry(once.id)
    assert deployment.wait_ended([once])[0].state == "done"
    assert len(deployment.ledger.runs_of(1)) == 2


@sqlite_in_suite
def test_a_job_whose_task_nobody_knows_waits_visibly_until_somebody_does(deployment: Deployment):
    (deployment.folder / "later.py").write_text(
        "from duey import huey\n\n@huey.task()\ndef newer(x):\n    return x + 1\n"
    )
    later = deployment.start(
        "-c", "from duey import load_tasks; load_tasks(); import later; later.newer(1)",
        DUEY_TASKS_MODULES="workload, later",
    )  # fmt: skip
    assert later.wait(10) == 0, later.err
    consumer = deployment.consumer(1)
    neighbour = deployment.tasks.note(1)
    assert deployment.wait_ended([neighbour])[0].state == "done"
    wait_until(lambda: deployment.control.counts().blocked == 1, 10, "the unknown job is set aside")
    job = deployment.control.jobs(state="blocked").jobs[0]
    assert job.task == "newer" and "unknown" in job.reason
    consumer.kill_tree()

    deployment.consumer(1, DUEY_TASKS_MODULES="workload, later")
    assert deployment.wait_ended([job])[0].result == 2


@sqlite_in_suite
@pytest.mark.parametrize("kind", ["process"])
def test_a_timeout_is_honoured_whatever_the_body_does(deployment: Deployment, kind: str):
    deployment.consumer(4, kind)
    tasks = deployment.tasks
    jobs = [
        tasks.note(1, 60, timeout=0.5),
        tasks.deaf(2, 60, timeout=0.5),
        tasks.stuck(3, timeout=0.5),
        tasks.stuck(4, timeout=0.5, retries=1),
    ]
    neighbours = [tasks.note(n, 0.01) for n in range(10, 30)]
    ended = deployment.wait_ended(jobs, 10)
    assert {(job.state, job.error.type, job.crashes) for job in ended} == {("failed", "TaskTimeout", 0)}
    runs = deployment.ledger.runs()
    assert [len(runs[str(n)]) for n in (1, 2, 3, 4)] == [1, 1, 1, 2]
    assert [job.attempt for job in ended] == [1, 1, 1, 2]
    for job in ended[:3]:
        assert job.run_ms < 2500
    assert {job.state for job in deployment.wait_ended(neighbours)} == {"done"}


@sqlite_only
def test_a_timeout_in_a_thread_does_what_it_can_and_says_what_it_cannot(deployment: Deployment):
    """Python code is stopped at its next step. What catches the timeout, or is in C, cannot be: the log says so."""
    consumer = deployment.consumer(4, "thread")
    tasks = deployment.tasks
    stopped, deaf, asleep = tasks.busy(1, 60, timeout=0.5), tasks.deaf(2, 4, timeout=0.5), tasks.note(3, 4, timeout=0.5)
    ended = deployment.wait_ended([stopped], 5)[0]
    assert (ended.state, ended.error.type, ended.crashes) == ("failed", "TaskTimeout", 0)
    assert ended.run_ms < 2500
    for job in (deaf, asleep):
        consumer.says(f"job {job.id} ignores its timeout, and a thread cannot be stopped: use process workers")
    late = deployment.wait_ended([deaf, asleep])
    assert [(job.state, job.error and job.error.type) for job in late] == [("done", None), ("failed", "TaskTimeout")]
    assert min(job.run_ms for job in late) >= 4000
    assert f"job {stopped.id} ignores" not in consumer.err
    assert deployment.wait_ended([tasks.note(4)])[0].state == "done"
