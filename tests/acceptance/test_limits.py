"""Limits, unique keys and reserved queues, among many producers and consumers that are killed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import SEED, Harm, Killed, explained
from tests.acceptance.ledger import Run
from tests.acceptance.variants import crossed
from tests.support import rounds, wait_until

PLACES = 3  # as in on_path/limited_tasks.py
PRODUCERS, CONSUMERS, JOBS = rounds(4, soak=8), rounds(3, soak=4), 40
INSTANT_S = rounds(5.0, soak=0.25)  # 12 ms where nothing else runs, of which 10 are the test's own steps


def spans(runs: list[Run], killed: list[Killed]) -> Iterator[tuple[float, float]]:
    """From when to when each execution ran for certain: one that was cut off, to the earliest moment of its death."""
    for run in runs:
        deaths = [death.after for death in killed if death.pid == run.pid]
        yield run.began, run.ended if run.ended is not None else max(deaths, default=run.began)


def most_at_once(times: Iterator[tuple[float, float]]) -> int:
    """How many of these overlapped at most."""
    steps = sorted(step for began, ended in times for step in ((began, 1), (max(began, ended), -1)))
    most = now = 0
    for _, change in steps:
        now += change
        most = max(most, now)
    return most


@crossed
def test_limit_and_keys_hold_among_producers_consumers_and_kills(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, limited_tasks", "max_crashes": 1000}})
    rng = random.Random(SEED)
    consumers = [Harm(deployment, 2, kind, rng) for _ in range(CONSUMERS)]
    count = rounds(JOBS, soak=1000)
    producers = [deployment.start("-m", "produce_limited", str(n), str(count), str(SEED)) for n in range(PRODUCERS)]
    for harm in consumers:
        deployment.wait_taking(harm.consumer)
    for _ in range(rounds(4, soak=60)):
        time.sleep(rng.uniform(0.1, 0.5))
        rng.choice(consumers).do(rng.choice(["tree", "child"]))
    for producer in producers:
        assert producer.wait(60) == 0, producer.err
    ids = {line for producer in producers for line in producer.out.split()}
    deployment.wait_ended(sorted(ids), 60)

    killed = [death for harm in consumers for death in harm.killed]
    runs = deployment.ledger.runs()
    narrow = [run for n, found in runs.items() if n.startswith("narrow.") for run in found]
    assert len({run.n for run in narrow}) == PRODUCERS * count // 2  # none was lost
    assert most_at_once(spans(narrow, killed)) <= PLACES
    for key in "abcde":
        single = [run for n, found in runs.items() if n.startswith(f"single.{key}.") for run in found]
        assert most_at_once(spans(single, killed)) == 1, key
    for found in runs.values():
        assert all(explained(run, killed) for run in sorted(found, key=lambda run: run.began)[:-1]), found
    counts = deployment.control.counts()
    assert (counts.queued, counts.running, counts.blocked) == (0, 0, 0)

    # No key is held by anybody any more, and no place: what comes now runs.
    producer = deployment.start("-m", "produce_limited", "last", "20", str(SEED))
    assert producer.wait(30) == 0, producer.err
    last = set(producer.out.split())
    assert last and not ids & last
    assert {job.state for job in deployment.wait_ended(sorted(last))} == {"done"}


@crossed
def test_a_reserved_queue_stays_instant_while_another_is_flooded(deployment: Deployment, kind: str):
    deployment.configure({"consumer": {"queues": "default:1, slow:1"}})
    flood = [deployment.tasks.note.s(n, 0.2) for n in range(rounds(3000, soak=10_000))]
    for task in flood:
        task.queue = "slow"
    for i in range(0, len(flood), 1000):
        deployment.huey.enqueue_jobs(flood[i : i + 1000])
    deployment.consumer(2, kind)
    deployment.wait_running(1)
    waits = []
    for n in range(10):
        began = time.monotonic()
        job = deployment.tasks.note(f"quick-{n}")
        wait_until(lambda job=job: deployment.state(job) == "done", 30, "a job of the reserved queue has ended")
        waits.append(time.monotonic() - began)
    assert sorted(waits)[len(waits) // 2] < INSTANT_S, waits
    assert deployment.control.counts().queued > len(flood) - 1000
    runs = deployment.ledger.runs()
    flooded = [run for n, found in runs.items() if not n.startswith("quick") for run in found]
    assert len({run.pid for run in flooded}) == 1  # the flood has its one worker
    assert most_at_once(spans(flooded, [])) <= 1
