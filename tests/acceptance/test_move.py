"""A queue moves to the other storage while a consumer runs, and the mover is killed on the way: in `make soak` at every
step, with 20,000 jobs. Then a consumer of the new storage runs them: none is lost, none runs twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest

from duey import faults
from duey.storage.transfer import StorageMoved
from tests.acceptance.deployment import WITHOUT_REDIS, WORKLOAD, Deployment
from tests.support import wait_until
from tests.support.redis_server import RedisServer
from tests.support.rounds import rounds

JOBS = rounds(400, soak=20_000)
STEP = 200  # jobs enqueued at once
STEPS = [step for step in faults.STEPS if step.startswith("move.")]
# In this order each death is a step later than the one before; tests/moving goes through each step without processes.
DEATHS = rounds(
    ["move.held", "move.closed", "move.batch", "move.left"],
    soak=[*STEPS[:3], *(f"move.batch/{n}" for n in (1, 5, 20, 40)), *STEPS[4:]],
)


def fill(deployment: Deployment, numbers: range) -> None:
    """Jobs with priorities, ready or due in a while."""
    made = [deployment.tasks.note.s(n, priority=n % 3, delay=2 if n % 10 == 1 else None) for n in numbers]
    for start in range(0, len(made), STEP):
        deployment.huey.enqueue_jobs(made[start : start + STEP])


@pytest.mark.soak
@pytest.mark.timeout(rounds(60, soak=900))
def test_a_move_that_is_killed_at_every_step(deployment: Deployment, redis_server: RedisServer):
    once = ["schedule", "add", "once", "note", "--at", "2999-01-01T00:00", str(JOBS + 1)]
    assert [code for code, *_ in deployment.manage_all(["pause", "step"], once)] == [0, 0]
    deployment.huey.enqueue(deployment.tasks.step.s(JOBS, 1))
    fill(deployment, range(JOBS // 2))
    old = deployment.consumer(2)
    wait_until(lambda: deployment.ledger.began() > JOBS // 10, 60, "some jobs have run")
    to = redis_server.url if deployment.backend == "sqlite" else "sqlite:///data/queue.db"
    path = deployment.environ()["PYTHONPATH"].removesuffix(os.pathsep + str(WITHOUT_REDIS))
    began = time.monotonic()
    for step in DEATHS:
        deployment.ledger.path.with_name("ledger.died").unlink(missing_ok=True)
        dying = deployment.start(
            str(WORKLOAD.with_name("dying_command.py")), "move", "--to", to, PYTHONPATH=path, DUEY_TEST_DIE_AT=step
        )
        assert dying.wait(200) == -signal.SIGKILL, (step, dying.out, dying.err)
        if step == "move.held":  # still accepted, and run by nobody here
            fill(deployment, range(JOBS // 2, JOBS))
    out, _ = deployment.manage("move", "--to", to, PYTHONPATH=path)
    print(f"{JOBS} jobs from {deployment.backend} in {time.monotonic() - began:.1f} s, with {len(DEATHS)} deaths")
    before = deployment.ledger.began()
    assert old.popen.poll() is None and before <= JOBS // 2, "its consumer runs, and runs nothing any more"
    print(f"{before} had run before")
    with pytest.raises(StorageMoved):
        deployment.tasks.note(0)
    old.popen.kill()

    deployment._huey.storage.close()
    deployment._huey = None
    lines = dict(line.split(" = ") for line in out.splitlines() if " = " in line)
    deployment.configure({"storage": lines})
    deployment.backend = lines["backend"]
    (_, out, _), (code, *_) = deployment.manage_all(["schedule", "list"], ["resume", "step"])
    assert out.startswith("once\t") and code == 0
    new = deployment.consumer(2)
    wait_until(lambda: deployment.ledger.began() > JOBS, rounds(30, soak=300), "all jobs have run")
    wait_until(
        lambda: sum(vars(deployment.control.counts())[k] for k in ("queued", "running", "scheduled")) == 0, 30, ""
    )
    assert new.popen.poll() is None
    runs = Counter({n: len(found) for n, found in deployment.ledger.runs().items()})
    assert runs == Counter([*map(str, range(JOBS)), f"{JOBS}.1"]), "each ran once"
