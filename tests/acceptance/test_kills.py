"""kill -9 at any moment: nothing is lost, and what runs twice is explained by a kill.

Every run is seeded; a failure says its seed. `make soak` kills 200 times in each variant.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from datetime import datetime, timedelta

import pytest

from tests.acceptance.deployment import LEASE_S, Deployment
from tests.acceptance.harm import SEED, Harm, check_once, explained
from tests.acceptance.processes import Process, kill
from tests.acceptance.variants import KINDS, SOAK, crossed, crossed_over, sqlite_in_suite, sqlite_only
from tests.support import rounds, wait_until

EACH = itertools.product(("sqlite", "redis"), KINDS, (4, 1))
VARIANTS = list(EACH) if SOAK else [("sqlite", "thread", 4), ("redis", "process", 1)]
RUNNING_AGAIN_S = 1.0 if SOAK else 20.0  # a busy machine is slower


def produce(deployment: Deployment, share: range, handles: list, stop: threading.Event, pace_s: float) -> None:
    """Defer jobs until told to stop: some at once, some delayed, some long enough to be caught."""
    rng = random.Random(SEED + share.start)
    for n in share:
        if stop.is_set():
            return
        seconds = rng.choice((0.0, 0.0, 0.005, 0.03, 0.15))
        task = deployment.tasks.note.s(n, seconds)
        if rng.random() < 0.2:
            task.eta = datetime.utcnow() + timedelta(seconds=0.2)
        handles.append((n, deployment.huey.enqueue(task)))
        stop.wait(rng.uniform(0, pace_s))


@pytest.mark.soak
@pytest.mark.parametrize(("backend", "kind", "workers"), VARIANTS)
def test_kill_loop(deployment: Deployment, kind: str, workers: int):
    deployment.configure({"tasks": {"max_crashes": 1000}})
    rng = random.Random(SEED)
    harm = Harm(deployment, workers, kind, rng)
    stop = threading.Event()
    shares: list[list] = [[], []]
    assert deployment.tasks  # loaded before the threads want it
    producers = [
        threading.Thread(target=produce, args=(deployment, range(i, 10**7, 2), share, stop, 0.25 / workers))
        for i, share in enumerate(shares)
    ]
    for producer in producers:
        producer.start()
    ways = ["tree", "parent", "child"]
    rng.shuffle(ways)
    kills = rounds(3, soak=200)
    for i in range(kills):
        deployment.wait_taking(harm.consumer)
        time.sleep(rng.uniform(0, 0.4))
        harm.do(ways[i % 3])
    stop.set()
    for producer in producers:
        producer.join()

    handles = [handle for share in shares for handle in share]
    ended = deployment.wait_ended([handle for _, handle in handles], 30 + len(handles) / 20)
    assert {job.state for job in ended} == {"done"}, f"seed {SEED}"
    assert [job.result for job in ended] == [n for n, _ in handles]
    check_once(deployment, [handle.id for _, handle in handles])
    runs = deployment.ledger.runs()
    assert len(runs) == len(handles)
    for each in runs.values():
        for early in each[:-1]:
            assert explained(early, harm.killed), (f"seed {SEED}", each, harm.killed)
    # Bounded by the kills, not by the runs: a body that was cut off before its first line is charged, too.
    assert max(job.crashes for job in ended) <= kills, f"seed {SEED}"


def again(deployment: Deployment, n: int) -> float:
    """When the second execution of a job began."""
    runs = wait_until(lambda: (found := deployment.ledger.runs_of(n))[1:] and found, 30, f"job {n} runs again")
    return runs[1].began


@pytest.mark.soak
@sqlite_only
@pytest.mark.parametrize("kind", KINDS if SOAK else ["process"])
def test_what_a_dead_worker_ran_runs_again_within_a_second(deployment: Deployment, kind: str):
    """Of the kill, where the consumer's parent lives or another consumer does; of being alive, where one is started."""
    first = deployment.consumer(1, kind)
    job = deployment.tasks.note(1, 0.7)
    deployment.wait_running(1)
    at = time.monotonic()
    for pid in first.children():
        kill(pid)
    assert again(deployment, 1) - at < RUNNING_AGAIN_S, "after the death of a child"
    assert deployment.wait_ended([job])[0].crashes == 1

    job = deployment.tasks.note(2, 0.7)
    deployment.wait_running(1)
    first.kill_tree()
    second = deployment.consumer(1, kind)
    at = time.monotonic()
    assert again(deployment, 2) - at < RUNNING_AGAIN_S, "after a restart"
    deployment.wait_ended([job])

    third = deployment.consumer(1, kind)
    job = deployment.tasks.note(3, 0.7)
    deployment.wait_running(1)
    runner = deployment.ledger.runs_of(3)[0].pid
    victim, other = (second, third) if runner in second.pids() else (third, second)
    at = time.monotonic()
    victim.kill_tree()
    assert again(deployment, 3) - at < RUNNING_AGAIN_S, "beside another consumer"
    assert deployment.ledger.runs_of(3)[1].pid in other.pids()
    deployment.wait_ended([job])


@crossed_over
def test_all_that_a_dead_consumer_ran_runs_again_at_once(deployment: Deployment, kind: str):
    """Side by side, as before, and uncounted: the death of a whole consumer is no job's doing."""
    first = deployment.consumer(4, kind)
    jobs = [deployment.tasks.note(n, 1.0) for n in range(4)]
    deployment.wait_running(4)
    first.kill_tree()
    deployment.consumer(4, kind)
    within_s = RUNNING_AGAIN_S if deployment.backend == "sqlite" else LEASE_S + RUNNING_AGAIN_S
    at = time.monotonic()
    assert max(again(deployment, n) for n in range(4)) - at < within_s
    assert [(job.state, job.crashes) for job in deployment.wait_ended(jobs)] == [("done", 0)] * 4


@crossed
def test_no_orphan_outlives_a_killed_parent(deployment: Deployment, kind: str):
    for _ in range(rounds(1, soak=20)):
        consumer = deployment.consumer(4, kind)
        handles = [deployment.tasks.stuck(n) if n == 0 else deployment.tasks.note(n, 60) for n in range(4)]
        deployment.wait_running(1)
        assert consumer.children()
        consumer.kill()
        wait_until(lambda dead=consumer: not dead.pids(), rounds(30, soak=2), "no child outlives the parent")
        for handle in handles:
            deployment.control.cancel(handle.id)


@pytest.mark.soak
@sqlite_in_suite
def test_no_orphan_of_a_stop_while_starting(deployment: Deployment):
    """A TERM at any moment of the start: everything ends, and with the status of a clean stop or of the signal."""
    rng = random.Random(SEED)
    for _ in range(rounds(4, soak=40)):
        consumer: Process = deployment.launch(8, "process")
        wait_until(lambda started=consumer: len(started.pids()) > rng.randint(1, 6), 30, "some workers are forked")
        consumer.signal(15)
        assert consumer.wait(30) in (0, -15), consumer.err
        wait_until(lambda dead=consumer: not dead.pids(), rounds(30, soak=2), "no child outlives the parent")


@crossed
def test_kills_while_due_jobs_move(deployment: Deployment, kind: str):
    """None of thousands that fall due is lost, and none runs twice without a reason."""
    count = rounds(1000, soak=5000)
    for turn in range(rounds(1, soak=10)):
        rng = random.Random(SEED + turn)
        first = turn * count
        # Due in one flood when the consumer is up, and a stream after it.
        soon = datetime.utcnow() + timedelta(seconds=0.5)
        tasks = [deployment.tasks.note.s(first + n) for n in range(count)]
        for n, task in enumerate(tasks):
            task.eta = soon + timedelta(seconds=max(0.0, 2.0 * n / count - 1.0))
        deployment.huey.enqueue_jobs(tasks)
        counts = deployment.control.counts()
        assert counts.scheduled + counts.queued == count

        harm = Harm(deployment, 2, kind, rng)
        began = deployment.ledger.began()
        for i in range(3):
            # From the flood's first moment on, while most of it is between schedule, queue and claim.
            wait_until(lambda past=began, i=i: deployment.ledger.began() > past + 50 * i, 30, "due jobs run")
            time.sleep(rng.uniform(0, 0.05))
            harm.do("tree")
        deployment.wait_ended([tasks[-1]], 30)
        wait_until(lambda: deployment.control.counts().running == 0, 30, "all have run")
        check_once(deployment, [task.id for task in tasks])
        runs = deployment.ledger.runs()
        assert set(runs) == {str(n) for n in range(first + count)}
        doubled = [each for n, each in runs.items() if len(each) > 1 and int(n) >= first]
        assert all(explained(run, harm.killed) for each in doubled for run in each[:-1]), f"seed {SEED + turn}"
        harm.consumer.kill_tree()
        deployment.forget()
