"""TERM, INT and HUP, once and again, with well-behaved bodies and with bodies that hear nothing.

Whatever the signal: nothing is lost, what had not ended goes back untouched (no delivery counted), and the consumer is
gone within `shutdown_timeout_s` and three seconds.
"""

from __future__ import annotations

import signal
import time

import pytest

from tests.acceptance.deployment import SHUTDOWN_S, Deployment
from tests.acceptance.processes import Process
from tests.acceptance.variants import SOAK, crossed, crossed_over
from tests.support import wait_until

GRACE_S = 3.0
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


def gone(consumer: Process, within_s: float) -> None:
    """The consumer ends in time, with all that descends from it, as after a clean stop."""
    since = time.monotonic()
    assert consumer.wait(within_s + 10) == 0, consumer.err
    took = time.monotonic() - since
    assert took < within_s, f"it took {took:.1f} s"
    assert consumer.pids() == []


def untouched(deployment: Deployment, jobs: list) -> None:
    """These jobs wait as if they had never begun."""
    found = [deployment.job(job) for job in jobs]
    assert [(job.state, job.deliveries, job.attempt) for job in found] == [("queued", 0, 0)] * len(jobs)
    assert deployment.control.workers() == []


@crossed
@pytest.mark.parametrize("signum", [TERM, INT] if SOAK else [TERM])
def test_the_first_signal_lets_running_jobs_end(deployment: Deployment, signum: int, kind: str):
    consumer = deployment.consumer(2, kind)
    running = [deployment.tasks.note(n, 0.8) for n in range(2)]
    deployment.wait_running(2)
    waiting = [deployment.tasks.note(n, 0.8) for n in range(2, 6)]
    consumer.signal(signum)
    gone(consumer, 0.8 + GRACE_S)
    assert deployment.states(running) == ["done", "done"]
    untouched(deployment, waiting)
    assert deployment.ledger.began() == 2


@crossed_over
@pytest.mark.parametrize(
    ("first", "second"), [(TERM, TERM), (INT, INT), (TERM, INT), (HUP, TERM)] if SOAK else [(TERM, INT)]
)
def test_the_second_signal_returns_them_now(deployment: Deployment, first: int, second: int, kind: str):
    consumer = deployment.consumer(2, kind)
    jobs = [deployment.tasks.note(n, 60) for n in range(3)]
    deployment.wait_running(2)
    consumer.signal(first)
    consumer.says("received", 5)
    consumer.signal(second)
    gone(consumer, GRACE_S)
    untouched(deployment, jobs)


@crossed
def test_a_body_that_is_stuck_in_c_does_not_keep_the_consumer(deployment: Deployment, kind: str):
    deployment.configure({"consumer": {"shutdown_timeout_s": 1}})
    consumer = deployment.consumer(2, kind)
    jobs = [deployment.tasks.note(1, 60), deployment.tasks.stuck(2)]
    wait_until(lambda: deployment.ledger.runs_of(2), 10, "the body that holds the interpreter has begun")
    consumer.signal(TERM)
    gone(consumer, 1 + GRACE_S)
    untouched(deployment, jobs)


@crossed_over
def test_hup_begins_anew(deployment: Deployment, kind: str):
    consumer = deployment.consumer(2, kind)
    running = deployment.tasks.note(1, 0.5)
    deployment.wait_running(1)
    before = set(consumer.children())
    consumer.signal(HUP)
    waiting = deployment.tasks.note(2)
    deployment.wait_ended([running, waiting], SHUTDOWN_S)
    assert deployment.states([running, waiting]) == ["done", "done"]
    assert consumer.popen.poll() is None and not before & set(consumer.children())
    deployment.wait_taking(consumer)
    consumer.signal(TERM)
    gone(consumer, GRACE_S)


@crossed
def test_stopping_again_and_again_runs_nothing_twice_that_ended(deployment: Deployment, kind: str):
    """Short jobs, a stop each half second: every stop is clean, so each job runs exactly once."""
    jobs = [deployment.tasks.note(n, 0.01) for n in range(3000 if SOAK else 60)]
    while {"queued", "running"} & set(deployment.states(jobs)):
        consumer = deployment.consumer(2, kind)
        began = deployment.ledger.began()
        wait_until(lambda past=began: deployment.ledger.began() >= min(len(jobs), past + 25), 10, "some more have run")
        consumer.signal(TERM)
        gone(consumer, GRACE_S)
    assert deployment.ledger.began() == len(jobs)
    assert {(job.state, job.deliveries) for job in map(deployment.job, jobs)} == {("done", 0)}
