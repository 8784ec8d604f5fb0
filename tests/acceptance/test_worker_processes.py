"""What a task does to its worker process: it ends or signals it, forks it, or needs what was not forked with it."""

from __future__ import annotations

import os
import signal
import time

from tests.acceptance.deployment import Deployment
from tests.acceptance.processes import Process
from tests.acceptance.variants import crossed, crossed_over
from tests.support import wait_until


def enqueue_jobs(deployment: Deployment, *calls: tuple) -> list[str]:
    """Enqueue (task, arguments ...) of on_path/forking_tasks.py; the ids."""
    return deployment.enqueue_apart("forking_tasks", *calls)


def consumer_of(deployment: Deployment, workers: int, kind: str, **environ: str) -> Process:
    deployment.configure({"tasks": {"modules": "workload, forking_tasks"}})
    return deployment.consumer(workers, kind, **environ)


@crossed
def test_only_a_request_stops_the_consumer(deployment: Deployment, kind: str):
    """Exit status 0 is a death like another, and a worker process that is signalled alone is replaced at once."""
    consumer = consumer_of(deployment, 2, kind)
    ids = enqueue_jobs(deployment, ("end_process", 1, 0))
    ended = deployment.wait_ended(ids, 60)[0]
    assert (ended.state, ended.crashes, ended.error.type) == ("failed", 3, "WorkerDied")
    assert consumer.popen.poll() is None
    for n, signum in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
        long = deployment.tasks.note(10 + n, 1.5)
        wait_until(lambda n=n: deployment.ledger.runs_of(10 + n), 30, "the long body runs")
        before = consumer.children()
        (run,) = deployment.ledger.runs_of(10 + n)
        os.kill(run.pid, signum)
        wait_until(lambda before=before: set(consumer.children()) - set(before), 30, "another process has taken over")
        beside = [deployment.tasks.note(100 + 10 * n + i) for i in range(5)]
        assert {job.state for job in deployment.wait_ended(beside, 30)} == {"done"}
        assert (deployment.wait_ended([long], 30)[0].state, deployment.job(long).crashes) == ("done", 0)
        assert len(deployment.ledger.runs_of(10 + n)) == 1
        wait_until(lambda pid=run.pid: pid not in consumer.pids(), 30, "the signalled one has ended")
    itself = enqueue_jobs(deployment, *(("signal_itself", 200 + n, signal.SIGTERM) for n in range(3)))
    assert {job.state for job in deployment.wait_ended(itself, 60)} == {"done"}
    assert consumer.popen.poll() is None and consumer.err.count("starts 2") == 1
    last = deployment.tasks.note(300, 1.5)
    wait_until(lambda: deployment.ledger.runs_of(300), 30, "the last body runs")
    deployment.control.stop(deployment.control.workers()[0].id)  # as the monitor asks
    assert consumer.wait(30) == 0
    assert deployment.state(last) == "done"


@crossed_over
def test_a_worker_that_was_signalled_alone_and_does_not_end_is_killed(deployment: Deployment, kind: str):
    deployment.configure({"consumer": {"shutdown_timeout_s": 1}})
    consumer = consumer_of(deployment, 1, kind)
    job = deployment.tasks.note(1, 2.5)
    deployment.wait_running(1)
    os.kill(deployment.ledger.runs_of(1)[0].pid, signal.SIGTERM)
    assert (deployment.wait_ended([job], 60)[0].state, deployment.job(job).crashes) == ("done", 0)
    assert [run.ended is None for run in deployment.ledger.runs_of(1)] == [True, False]
    assert consumer.popen.poll() is None


@crossed
def test_children_of_a_body_are_ordinary_processes(deployment: Deployment, kind: str):
    """One that comes back from the body ends: else it would go on as a worker, and take the jobs of others with it."""
    consumer = consumer_of(deployment, 2, kind, DUEY_TEST_FORK_AT_STARTUP="1")
    forks = [("fork_and_return", n, how) for n, how in enumerate(("return", "raise", "exit") * 4)]
    forks += [("forked_before", n) for n in range(20, 22)] + [("forked_after", n) for n in range(22, 24)]
    pool, terminate, *ids = enqueue_jobs(deployment, ("pool", 5), ("terminate", 2), *forks)
    others = [deployment.tasks.note(100 + n, 0.02) for n in range(40)]
    assert [job.result for job in deployment.wait_ended(ids, 60)] == [0, 1, 7] * 4 + [20, 21, 22, 23]
    assert {job.state for job in deployment.wait_ended(others, 60)} == {"done"}
    squares, ended = deployment.wait_ended([pool, terminate], 60)
    assert squares.result == [0, 1, 4, 9, 16]
    assert ended.result == [-signal.SIGTERM, 1, -signal.SIGHUP]  # 1: KeyboardInterrupt
    assert {len(runs) for n, runs in deployment.ledger.runs().items() if n != "start"} == {1}
    wait_until(lambda: len(consumer.children()) == len(deployment.control.workers()), 30, "no fork goes on")
    assert "is gone" not in consumer.err  # no fork has settled its parent's claim


@crossed
def test_what_a_worker_needs_is_made_when_it_starts(deployment: Deployment, kind: str):
    """Once in each process that runs jobs, the replaced ones included; what import left behind is told."""
    consumer = consumer_of(deployment, 2, kind, DUEY_TEST_THREAD_AT_IMPORT="1")
    assert "started threads that workers will not have (Outbox): start them in a function" in consumer.err
    processes = 2 if kind == "process" else 1
    assert len(deployment.ledger.runs_of("start")) == processes
    ids = enqueue_jobs(deployment, *(("ask_loop", n) for n in range(10)))
    ended = deployment.wait_ended(ids, 60)
    assert [job.result for job in ended] == list(range(10)), ended
    failed = enqueue_jobs(deployment, ("end_process", 1, 3))
    deployment.wait_ended(failed, 60)
    assert deployment.wait_ended(enqueue_jobs(deployment, ("ask_loop", 11)), 60)[0].result == 11


@crossed_over
def test_a_worker_that_cannot_start_is_tried_again_and_takes_no_job(deployment: Deployment, kind: str):
    (deployment.folder / "warming.py").write_text(
        "import os\nfrom duey import on_worker_start\n@on_worker_start\ndef warm_up():\n"
        f"    open({str(deployment.folder / 'model')!r})\n"
    )
    deployment.configure({"tasks": {"modules": "workload, warming"}})
    consumer = deployment.launch(1, kind)
    consumer.says("warming.warm_up, an on_worker_start, failed", 30)
    job = deployment.tasks.note(1)
    time.sleep(0.5)
    assert deployment.state(job) == "queued"
    assert not deployment.control.health().ok
    (deployment.folder / "model").touch()
    assert deployment.wait_ended([job], 60)[0].state == "done"
