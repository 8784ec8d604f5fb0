"""Locks of tasks, and the storage's own lock, under kills and contention."""

from __future__ import annotations

import itertools
import json
import random
import time

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import SEED, Harm, Killed, explained
from tests.acceptance.ledger import Run
from tests.acceptance.outage import write_lock
from tests.acceptance.variants import KINDS, SOAK, pairs, sqlite_only
from tests.support import rounds, wait_until

FREE_WITHIN_S = 5.0 if SOAK else 30.0
DEFER_P99_S, DEFER_WORST_S = (0.25, 3.0) if SOAK else (10.0, 30.0)  # a busy machine is slower
DEFER_DEADLINE_S = 30.0  # on a slow disk


def left_at(run: Run, killed: list[Killed]) -> float:
    """When an execution was over at the earliest: it ended, or its process was killed."""
    return run.ended or min(death.after for death in killed if death.pid == run.pid)


@pytest.mark.soak
@pytest.mark.parametrize(("backend", "kind"), pairs(("sqlite", "redis"), KINDS))
def test_a_lock_never_has_two_holders_and_drops_nothing(deployment: Deployment, kind: str):
    count = rounds(16, soak=1000)
    rng = random.Random(SEED)
    jobs = [deployment.tasks.locked(n, "the lock", 0.02) for n in range(count)]
    other = [deployment.tasks.locked(count + n, f"lock {n}", 0.02) for n in range(4)]
    harm = Harm(deployment, 4, kind, rng)
    for i in range(rounds(1, soak=20)):
        wait_until(lambda i=i: deployment.ledger.began() > 4 * (i + 1), 30, "some have held it")
        harm.do("child")
    ended = deployment.wait_ended([*jobs, *other], rounds(30, soak=1000))
    assert {(job.state, job.attempt) for job in ended} == {("done", 1)}, "waiting for a lock is no attempt"

    runs = deployment.ledger.runs()
    held = sorted((run for n in range(count) for run in runs[str(n)]), key=lambda run: run.began)
    for holder, following in itertools.pairwise(held):
        assert left_at(holder, harm.killed) <= following.began, (holder, following)
    assert all(explained(run, harm.killed) for each in runs.values() for run in each[:-1]), f"seed {SEED}"


@sqlite_only
@pytest.mark.parametrize("kind", KINDS if SOAK else ["process"])
def test_a_kill_while_another_program_holds_the_write_lock(deployment: Deployment, kind: str):
    """What ended meanwhile is committed nowhere: it runs again, and nothing is lost."""
    jobs = [deployment.tasks.note(n, 0.1) for n in range(6)]
    consumer = deployment.consumer(2, kind)
    deployment.wait_running(2)
    with write_lock(deployment.queue):
        wait_until(lambda: not deployment.ledger.running(), 30, "the bodies have ended")
        consumer.kill_tree()
        second = deployment.launch(2, kind)
        wait_until(lambda: second.pids(), 30, "another consumer starts while it is locked")
    ended = deployment.wait_ended(jobs)
    assert {(job.state, job.crashes) for job in ended} == {("done", 0)}
    assert deployment.ledger.began() <= 8


@pytest.mark.soak
def test_contention(deployment: Deployment):
    """Many processes defer, run and look at the same time: none is refused, none waits long, nothing is lost."""
    producers, each = rounds(3, soak=8), rounds(250, soak=3000)
    deployment.app("--web")
    client = deployment.client()
    deployment.consumer(rounds(3, soak=8), "process")
    started = [deployment.produce("notes", each) for _ in range(producers)]
    while any(producer.popen.poll() is None for producer in started):
        assert client.get("/api/jobs?limit=100").status == 200
        assert client.get("/readyz").status == 200
        time.sleep(0.05)
    for producer in started:
        assert producer.wait(1) == 0, producer.err
    took = sorted(second for producer in started for second in json.loads(producer.out))
    assert len(took) == producers * each
    wait_until(
        lambda: deployment.control.counts().queued + deployment.control.counts().running == 0, 30, "all have run"
    )
    runs = deployment.ledger.runs()
    assert len(runs) == producers * each and all(len(run) == 1 for run in runs.values())
    assert took[int(len(took) * 0.99)] < DEFER_P99_S and took[-1] < DEFER_WORST_S, took[-20:]


@pytest.mark.soak
@sqlite_only
def test_a_disk_that_syncs_slowly_refuses_nobody(deployment: Deployment):
    """20 ms for each synced commit; producers and workers come while others have the lock."""
    producers, each = rounds(4, soak=8), rounds(25, soak=1000)
    started = [deployment.produce("notes", each, DUEY_TEST_SYNC_S="0.02") for _ in range(producers)]
    consumer = deployment.launch(8, "process", DUEY_TEST_SYNC_S="0.02")
    took: list[float] = []
    for producer in started:
        assert producer.wait(rounds(30, soak=1800)) == 0, producer.err
        took += json.loads(producer.out)
    assert len(took) == producers * each and max(took) < DEFER_DEADLINE_S, sorted(took)[-20:]
    wait_until(lambda: len(deployment.ledger.runs()) == producers * each, 30, "all have run")
    wait_until(lambda: deployment.control.counts().running == 0, 30, "all have ended")
    assert {len(runs) for runs in deployment.ledger.runs().values()} == {1}
    assert consumer.popen.poll() is None and "died" not in consumer.err
