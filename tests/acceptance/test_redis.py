"""What can only happen on Redis: a stopped consumer comes back, a body outlives the lease, the server restarts."""

from __future__ import annotations

import os
import signal

import pytest

from tests.acceptance.deployment import LEASE_S, Deployment
from tests.acceptance.harm import check_once
from tests.acceptance.processes import Process
from tests.acceptance.variants import KINDS, SOAK, redis_only
from tests.support import wait_until

pytestmark = redis_only
one_kind = pytest.mark.parametrize("kind", KINDS if SOAK else KINDS[:1])


def stop(consumer: Process, signum: int) -> None:
    """Send SIGSTOP or SIGCONT to all of a consumer."""
    for pid in consumer.pids():
        os.kill(pid, signum)


@one_kind
def test_a_stopped_consumer_that_comes_back_is_fenced(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"max_crashes": 10}})
    stopped = deployment.consumer(1, kind)
    job = deployment.tasks.note(1, 0.5)
    deployment.wait_running(1)
    stop(stopped, signal.SIGSTOP)
    other = deployment.consumer(1, kind)
    assert deployment.wait_ended([job], LEASE_S + 10)[0].state == "done"
    second = deployment.ledger.runs_of(1)[1]
    assert second.pid in other.pids()

    stop(stopped, signal.SIGCONT)
    wait_until(lambda: deployment.ledger.runs_of(1)[0].ended, 30, "the body that was stopped has ended, too")
    stopped.says("is gone: its outcome was not written")
    found = deployment.job(job)
    assert (found.state, found.crashes) == ("done", 0), "the whole consumer was taken for dead: no job is charged"
    check_once(deployment, [job.id])
    after = [deployment.tasks.note(n, 0.2) for n in range(2, 6)]
    assert {each.state for each in deployment.wait_ended(after)} == {"done"}
    assert {run.pid for n in range(2, 6) for run in deployment.ledger.runs_of(n)} <= {*stopped.pids(), *other.pids()}


@one_kind
def test_a_body_that_holds_the_interpreter_past_the_lease_keeps_its_job(deployment: Deployment, kind: str):
    """The parent renews the lease, and no task can starve it."""
    deployment.configure({"consumer": {"lease_s": 1, "heartbeat_s": 0.2}})
    first, second = deployment.consumer(1, kind), deployment.consumer(1, kind)
    job = deployment.tasks.hold(1, 2.5)
    ended = deployment.wait_ended([job])[0]
    assert (ended.state, ended.crashes) == ("done", 0)
    runs = deployment.ledger.runs_of(1)
    assert len(runs) == 1 and runs[0].ended - runs[0].began >= 2.5
    assert first.popen.poll() is None and second.popen.poll() is None
    assert "died" not in first.err + second.err
