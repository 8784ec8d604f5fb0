"""Kills while thousands of scheduled jobs fall due: none is lost, none runs twice without a reason."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import SEED, Harm, check_once, explained
from tests.acceptance.variants import KINDS, pairs
from tests.support import rounds, wait_until


@pytest.mark.soak
@pytest.mark.parametrize(("backend", "kind"), pairs(("sqlite", "redis"), KINDS))
def test_kills_while_due_jobs_move(deployment: Deployment, kind: str):
    count = rounds(2000, soak=5000)
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
            wait_until(lambda past=began, i=i: deployment.ledger.began() > past + 50 * i, 15, "due jobs run")
            time.sleep(rng.uniform(0, 0.05))
            harm.do("tree")
        deployment.wait_ended([tasks[-1]], 30)
        wait_until(lambda: deployment.control.counts().running == 0, 15, "all have run")
        check_once(deployment, [task.id for task in tasks])
        runs = deployment.ledger.runs()
        assert set(runs) == {str(n) for n in range(first + count)}
        doubled = [each for each in runs.values() if len(each) > 1]
        assert all(explained(run, harm.killed) for each in doubled for run in each[:-1]), f"seed {SEED + turn}"
        harm.consumer.kill_tree()
        deployment.forget()
