"""A worker dies while it handles a job, wherever in it: the death is counted, and charged to that job alone."""

from __future__ import annotations

import itertools
import random
import re
import time

from tests.acceptance.deployment import SHUTDOWN_S, Deployment
from tests.acceptance.harm import SEED, Harm
from tests.acceptance.processes import kill
from tests.acceptance.variants import crossed, crossed_over, once, sqlite_only
from tests.support import rounds, wait_until

PLACES = ("decode", "pre_execute", "executing", "body", "complete", "post_execute")
AROUND = {
    "pre_execute": "the pre_execute hook 'before'", "executing": "the receiver 'on_executing'",
    "complete": "the receiver 'on_complete'", "post_execute": "the post_execute hook 'after'",
}  # fmt: skip
NEIGHBOURS_WITHIN_S = rounds(60.0, soak=15.0)


def enqueue_jobs(deployment: Deployment, *calls: tuple[str, int, str, str]) -> list[str]:
    """Enqueue (task, n, place, deed) of on_path/fault_tasks.py; the ids."""
    return deployment.enqueue_apart("fault_tasks", *calls)


@crossed
def test_a_death_is_charged_to_the_job_that_was_handled(deployment: Deployment, kind: str):
    """Wherever in its handling it kills, a job ends with its third death, and what ran beside it or waits ends well."""
    deployment.configure({"tasks": {"modules": "workload, fault_tasks"}})
    ids = enqueue_jobs(deployment, *(("victim", n, place, "kill") for n, place in enumerate(PLACES)))
    consumer = deployment.launch(2, kind)
    beside = deployment.tasks.note(100, 3)
    behind = [deployment.tasks.note(101 + n, 0.01) for n in range(10)]
    for job in deployment.wait_ended(ids, 60):
        assert (job.state, job.error.type) == ("failed", "WorkerDied"), job
        assert job.crashes >= 3
        assert ("its body had ended" in job.error.message) == (job.args[1:2] in (["complete"], ["post_execute"])), job
    assert {job.state for job in deployment.wait_ended([beside, *behind], 60)} == {"done"}
    runs = deployment.ledger.runs()
    for n, place in enumerate(PLACES):
        deaths, deeds = deployment.job(ids[n]).crashes, len(runs[f"{n}.{place}"])
        assert deeds == deaths if kind == "process" else 1 <= deeds <= deaths, place  # a thread dies of others, too
        before_body = place in ("decode", "pre_execute", "executing")
        bodies = len(runs.get(str(n), []))
        assert bodies == 0 if before_body else deeds <= bodies <= deaths, place
    assert consumer.popen.poll() is None


@crossed
def test_what_must_not_run_twice_does_not_after_its_body(deployment: Deployment, kind: str):
    """kill -9 between the end of the body and its commit: it may have paid. Before the body it has not, and runs."""
    deployment.configure({"tasks": {"modules": "workload, fault_tasks"}})
    paid, unpaid = enqueue_jobs(
        deployment, ("once", 1, "post_execute", "slow.60"), ("once", 2, "pre_execute", "slow.2")
    )
    consumer = deployment.launch(2, kind)
    wait_until(lambda: {"1.post_execute", "2.pre_execute"} <= set(deployment.ledger.runs()), 30, "both hooks run")
    for pid in consumer.children():
        kill(pid)
    failed, done = deployment.wait_ended([paid, unpaid], 30)
    assert (failed.state, failed.crashes, failed.error.type) == ("failed", 1, "WorkerDied")
    assert failed.error.message.endswith("; its body had ended, so its work may be done")
    assert (done.state, done.crashes) == ("done", 1)
    assert [len(deployment.ledger.runs_of(n)) for n in (1, 2)] == [1, 1]


@crossed
def test_what_must_not_run_twice_does_not_if_its_host_dies_as_it_begins(deployment: Deployment, kind: str):
    """kill -9 of all at the first line of the body, or a moment later. On Redis the rescuer is another host."""
    deployment.configure({"consumer": {"lease_s": 1, "heartbeat_s": 0.2}})
    rng, count = random.Random(SEED), rounds(2, soak=100)
    jobs = [deployment.tasks.deadly_once(n, rng.choice((0.0, rng.uniform(0.0, 0.3)))) for n in range(count)]
    for host in range(count + 1):
        (folder := deployment.folder / f"host{host}").mkdir()
        died = deployment.launch(2, kind, TMPDIR=str(folder)).popen.poll
        wait_until(
            lambda died=died: died() is not None or set(deployment.states(jobs)) == {"failed"},
            60,
            "it dies, or all ended",
        )
        if died() is None:
            break
    runs = deployment.ledger.runs()
    assert {n for n, each in runs.items() if len(each) > 1} == set()
    assert len(runs) > count / 2, "the others were marked, and a neighbour killed them before their first line"
    assert {deployment.job(job).error.type for job in jobs} == {"WorkerDied"}


@once
def test_what_must_not_run_twice_is_committed_before_anything_else_runs(deployment: Deployment, kind: str):
    """The next job kills the worker as its first act, many times over: what ended before it is on disk, or failed."""
    deployment.configure({"tasks": {"modules": "workload, fault_tasks"}})
    calls = [call for n in range(8) for call in (("once", n, "", ""), ("victim", 100 + n, "body", "kill"))]
    ids = enqueue_jobs(deployment, *calls)
    deployment.launch(1, kind)
    ended = deployment.wait_ended(ids[::2], 60)
    assert {job.state for job in ended} == {"done"}
    assert {len(deployment.ledger.runs_of(n)) for n in range(8)} == {1}


@crossed_over
def test_an_innocent_one_is_not_failed_in_place_of_the_guilty(deployment: Deployment, kind: str):
    """The guilty one kills from its hook, over and over, and a body of several seconds runs beside it each time."""
    deployment.configure({"tasks": {"modules": "workload, fault_tasks"}})
    deployment.consumer(2, kind)
    innocent = deployment.tasks.note(1, 4)
    deployment.wait_running(1)
    guilty = enqueue_jobs(deployment, ("victim", 2, "pre_execute", "kill"))
    assert deployment.wait_ended(guilty, 60)[0].state == "failed"
    assert deployment.wait_ended([innocent], 60)[0].state == "done"
    behind = deployment.tasks.note(3)
    assert deployment.wait_ended([behind], NEIGHBOURS_WITHIN_S)[0].state == "done"


@crossed
def test_no_worker_ends_by_what_is_raised_around_bodies(deployment: Deployment, kind: str):
    """sys.exit and its like, in a hook, a receiver, what reads an argument, or the exception itself: the job ends, the
    worker goes on, and the log says what it was."""
    deployment.configure({"tasks": {"modules": "workload, fault_tasks"}})
    raised = ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "ValueError")
    around = [("victim", n, place, deed) for n, (place, deed) in enumerate(itertools.product(AROUND, raised))]
    done = enqueue_jobs(deployment, *around)
    unread = enqueue_jobs(deployment, *(("victim", 100 + n, "decode", deed) for n, deed in enumerate(raised)))
    mute = enqueue_jobs(deployment, *(("mute", 200 + n, "str", deed) for n, deed in enumerate(raised)))
    consumer = deployment.launch(2, kind, DUEY_TEST_STARTUP="1")
    for job in deployment.wait_ended(done, 60):
        assert (job.state, job.crashes, job.attempt) == ("done", 0, 1), job
    for job in deployment.wait_ended(unread, 30):
        assert (job.state, job.crashes, job.error.type) == ("failed", 0, "PayloadUndecodable"), job
    for job in deployment.wait_ended(mute, 30):
        assert (job.state, job.crashes, job.attempt, job.error.type) == ("failed", 0, 2, "Mute"), job
    deployment.tasks.note(300, 60)
    deployment.tasks.note(301, 60)
    deployment.wait_running(2, 30)  # both workers are there
    for id_, (_, _, place, deed) in zip(done, around, strict=True):
        assert re.search(rf"{AROUND[place]}.* failed for job {id_} .*: {deed}", consumer.err), (place, deed)
    assert "the on_startup hook 'at_start' failed: SystemExit: no start" in consumer.err
    for id_ in (*unread, *mute):
        (line,) = re.findall(rf"ERROR +duey.jobs: job {id_} .* failed: .*", consumer.err)
        assert ("Mute" in line) == (id_ in mute)


@crossed
def test_a_worker_whose_files_a_body_closed_is_replaced(deployment: Deployment, kind: str):
    closing = deployment.tasks.poison(1, "closed files")
    consumer = deployment.launch(2, kind)
    neighbours = [deployment.tasks.note(10 + n, 0.05) for n in range(20)]
    wait_until(lambda: "1" in deployment.ledger.runs(), 30, "the body runs")
    deployment.wait_ended([closing, *neighbours], 60)  # in a thread a neighbour may fail: its file was closed, too
    assert deployment.wait_ended([deployment.tasks.note(99)], 60)[0].state == "done"
    assert consumer.popen.poll() is None
    if deployment.backend == "sqlite":
        assert "files were closed by a job: another one takes its place" in consumer.err


@sqlite_only
def test_a_hook_that_closes_all_files_at_the_end_does_not_hold_up_the_stop(deployment: Deployment):
    deployment.configure({"tasks": {"modules": "workload, fault_tasks"}})
    consumer = deployment.consumer(2, "thread", DUEY_TEST_START="on_shutdown close")
    consumer.popen.terminate()
    assert consumer.wait(SHUTDOWN_S / 2) == 0


@once
def test_nobody_is_failed_for_the_death_of_a_whole_consumer(deployment: Deployment, kind: str):
    """kill -9 of parent and children, in any order, six times in five seconds, over many seeds."""
    for seed in range(SEED, SEED + rounds(1, soak=20)):
        rng = random.Random(seed)
        jobs = [deployment.tasks.note(n, 3) for n in range(4)]
        harm = Harm(deployment, 4, kind, rng)
        for _ in range(6):
            deployment.wait_running(1)
            time.sleep(rng.uniform(0, 0.5))
            harm.do("tree")
        for job in deployment.wait_ended(jobs, 60):
            assert (job.state, job.crashes) == ("done", 0), f"seed {seed}"
        harm.consumer.kill_tree()


@once
def test_a_job_that_kills_the_whole_consumer_comes_to_an_end(deployment: Deployment, kind: str):
    """What ran beside it the first times ends well: from then on it runs alone."""
    deployment.configure({"tasks": {"modules": "workload, fault_tasks", "max_crashes": 1}})
    (guilty,) = enqueue_jobs(deployment, ("victim", 100, "body", "kill all"))
    innocent = [deployment.tasks.note(n, 0.3) for n in range(3)]
    for _ in range(40):
        consumer = deployment.launch(4, kind)
        wait_until(
            lambda at=consumer: at.popen.poll() is not None or deployment.state(guilty) == "failed", 30, "it is over"
        )
        if deployment.state(guilty) == "failed":
            break
        assert consumer.popen.poll() == -9, consumer.err
        consumer.kill_tree()
    job = deployment.job(guilty)
    assert (job.state, job.crashes) == ("failed", 0)
    assert job.error.message.startswith("its consumer died ")
    assert {each.state for each in deployment.wait_ended(innocent)} == {"done"}
    assert max(len(deployment.ledger.runs_of(n)) for n in range(3)) <= 3
