"""Pipelines and chords whose parts are killed, and a producer that is killed amid a chord."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest
from huey.api import chord

from duey import faults
from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import SEED, Harm, explained
from tests.acceptance.variants import crossed_over, pairs
from tests.support import rounds, wait_until

OF_ENQUEUE = [step for step in faults.STEPS if step.startswith("enqueue.")]
LINKS, MEMBERS, STEP_S = 4, 5, 0.03


def defer_pipeline(deployment: Deployment, n: int) -> Any:
    """Four links; the result handle of the last."""
    step = deployment.tasks.step
    task = step.s(n, 0, STEP_S)
    for _ in range(LINKS - 1):
        task = task.then(step, n)
    return deployment.huey.enqueue(task)


def defer_chord(deployment: Deployment, n: int) -> Any:
    """Five members and the callback."""
    tasks = deployment.tasks
    return deployment.huey.enqueue(chord([tasks.step.s(n, x, STEP_S) for x in range(MEMBERS)], tasks.total.s(n)))


def jobs_by_chain(deployment: Deployment) -> dict[int, Counter[tuple[str, str]]]:
    """How many jobs of each task and state the storage holds, by the number of their chain."""
    found: dict[int, Counter[tuple[str, str]]] = {}
    cursor = None
    while True:
        page = deployment.control.jobs(limit=500, cursor=cursor)
        for job in page.jobs:
            found.setdefault(job.args[0], Counter())[job.task, job.state] += 1
        cursor = page.next
        if cursor is None:
            return found


@crossed_over
def test_they_fire_once_however_often_their_workers_die(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"max_crashes": 1000}})
    count = rounds(6, soak=60)
    rng = random.Random(SEED)
    for n in range(count):
        defer_pipeline(deployment, n)
        defer_chord(deployment, 1000 + n)
    harm = Harm(deployment, 3, kind, rng)
    for _ in range(rounds(3, soak=40)):
        deployment.wait_taking(harm.consumer)
        time.sleep(rng.uniform(0, 0.25))
        harm.do(rng.choice(("child", "tree")))

    pipeline = Counter({("step", "done"): LINKS})
    fired = Counter({("step", "done"): MEMBERS, ("total", "done"): 1})
    expected = {n: pipeline for n in range(count)} | {1000 + n: fired for n in range(count)}
    wait_until(lambda: jobs_by_chain(deployment) == expected, rounds(20, soak=120), "all chains have ended")
    runs = deployment.ledger.runs()
    for n in range(count):
        assert {f"{n}.{x}" for x in range(LINKS)} <= set(runs)
        assert f"{1000 + n}.total" in runs
    for each in runs.values():
        assert all(explained(run, harm.killed) for run in each[:-1]), f"seed {SEED}"
    results = {job.args[0]: job.result for job in deployment.control.jobs(task="total", limit=500).jobs}
    assert results == {1000 + n: sum(range(1, MEMBERS + 1)) for n in range(count)}


@pytest.mark.parametrize(("step", "backend"), pairs(OF_ENQUEUE, ("redis", "sqlite")))
def test_a_producer_that_dies_amid_a_chord_leaves_all_of_it_or_nothing(deployment: Deployment, step: str):
    producer = deployment.produce("chord", 20, DUEY_TEST_DIE_AT=step)
    assert producer.wait(30) == -9
    counts = deployment.control.counts()
    assert (counts.queued, counts.running) == ((20 if step == "enqueue.committed" else 0), 0)
