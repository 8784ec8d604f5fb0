"""TERM, INT and HUP, once and again, with well-behaved bodies and with bodies that hear nothing.

Whatever the signal, and whoever gets it: nothing is lost, what had not ended goes back untouched (no delivery counted),
and the consumer is gone within `shutdown_timeout_s` and three seconds. A repetition within 2 s asks for nothing more.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time

import pytest

from duey.os_process import SAME_REQUEST_S
from tests.acceptance.deployment import SHUTDOWN_S, Deployment
from tests.acceptance.processes import Process, stat_of
from tests.acceptance.variants import KINDS, SOAK, crossed, crossed_over
from tests.support import wait_until

GRACE_S = 3.0 if SOAK else 20.0  # a busy machine is slower; bodies that are not cut off take 60 s
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
    assert [(job.state, job.crashes, job.attempt) for job in found] == [("queued", 0, 0)] * len(jobs)
    assert deployment.control.workers() == []


@crossed
def test_what_must_not_run_twice_does_not_whatever_cuts_it_off(deployment: Deployment, kind: str):
    """A stop whose time is over, a second signal, a time-out, a cancel; after each the consumer starts again."""
    tasks = deployment.tasks
    for n, how in enumerate(("stop", "second signal", "time-out", "cancel")):
        deployment.configure({"consumer": {"shutdown_timeout_s": 60 if how == "second signal" else 1}})
        consumer = deployment.consumer(2, kind)
        killed_late = how == "time-out" and kind == "process"  # a thread that sleeps cannot be stopped
        once = tasks.only_once(n, 60, retries=2, timeout=1 if killed_late else None)
        beside = tasks.note(100 + n, 60)
        deployment.wait_running(2)
        if killed_late:
            deployment.wait_ended([once], 30)
        if how == "cancel":
            deployment.control.cancel(once.id)
        consumer.signal(TERM)
        if how == "second signal":
            consumer.says("received", 30)
            time.sleep(SAME_REQUEST_S + 0.5)
            consumer.signal(INT)
        gone(consumer, (0 if how == "second signal" else 1) + GRACE_S)
        ended = deployment.wait_ended([once], 30)[0]
        if how == "cancel":
            assert ended.state == "canceled"
        else:
            error = ended.error.type, ended.error.message.removeprefix("killed: ")
            assert error == (
                ("TaskTimeout", "it ran past its timeout of 1 s") if killed_late
                else ("StoppedWhileItRan", "stopped while it ran")
            ), how  # fmt: skip
        untouched(deployment, [beside])
        deployment.control.cancel(beside.id)
    deployment.consumer(2, kind)
    assert deployment.wait_ended([tasks.note(9)], 30)[0].state == "done"
    assert {len(deployment.ledger.runs_of(n)) for n in range(4)} == {1}


# Who is signalled, by what, how often within 2 s.
EVERY = [(who, signum, times) for who in ("web", "consumer", "workers", "all") for signum in (TERM, INT, HUP)
         for times in (1, 2)]  # fmt: skip
SOME = [("all", TERM, 2), ("web", HUP, 2), ("consumer", INT, 2), ("workers", TERM, 1)]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("who", "signum", "times", "backend", "kind"),
    [(*case, *variant) for case in EVERY for variant in itertools.product(("sqlite", "redis"), KINDS)] if SOAK
    else [(*case, ("sqlite", "redis")[i % 2], KINDS[i // 2 % 2]) for i, case in enumerate(SOME)],
)  # fmt: skip
def test_whoever_is_signalled_and_how_often_bodies_may_end(
    deployment: Deployment, who: str, signum: int, times: int, kind: str
):
    deployment.configure({"consumer": {"worker_type": kind}})
    app = deployment.app()
    running = [deployment.tasks.note(n, 1.5) for n in range(2)]
    deployment.wait_running(2)
    consumers = [pid for pid in app.children() if stat_of(pid)[1] == app.pid]
    workers = [pid for pid in app.children() if stat_of(pid)[1] in consumers]
    assert consumers and workers
    chosen = {"web": [app.pid], "consumer": consumers, "workers": workers, "all": [app.pid, *consumers, *workers]}[who]
    for _ in range(times):
        for pid in chosen:
            with contextlib.suppress(ProcessLookupError):  # one that runs no body has ended at the first signal
                os.kill(pid, signum)
        time.sleep(0.2)
    if who in ("web", "all") and signum != HUP:
        assert app.wait(SHUTDOWN_S + GRACE_S) == 0
        assert app.pids() == []
    else:  # whatever was signalled begins anew
        wait_until(lambda: not set(chosen) - {app.pid, *consumers} & set(app.pids()), 30, "they have ended")
        after = deployment.tasks.note(9)
        assert deployment.wait_ended([after, *running], 60)[0].state == "done"
        assert app.popen.poll() is None
        wait_until(lambda: deployment.client(5).get("/healthz").status == 200, 30, "the web process answers")
    assert [(job.state, job.crashes, job.attempt) for job in map(deployment.job, running)] == [("done", 0, 1)] * 2
    assert [len(deployment.ledger.runs_of(n)) for n in range(2)] == [1, 1]


@crossed
def test_a_body_that_is_stuck_in_c_does_not_keep_the_consumer(deployment: Deployment, kind: str):
    deployment.configure({"consumer": {"shutdown_timeout_s": 1}})
    consumer = deployment.consumer(2, kind)
    jobs = [deployment.tasks.note(1, 60), deployment.tasks.stuck(2)]
    wait_until(lambda: deployment.ledger.runs_of(2), 30, "the body that holds the interpreter has begun")
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
    wait_until(lambda: not before & set(consumer.children()), GRACE_S, "the workers of before are gone")
    assert consumer.popen.poll() is None
    deployment.wait_taking(consumer)
    consumer.signal(TERM)
    gone(consumer, GRACE_S)


@crossed
@pytest.mark.parametrize("signum", [TERM, INT] if SOAK else [TERM])
def test_stopping_again_and_again_runs_nothing_twice_that_ended(deployment: Deployment, kind: str, signum: int):
    """A stop whenever some more have run: each lets what runs end, and no other begin, so each job runs once."""
    jobs = [deployment.tasks.note(n, 0.01) for n in range(3000 if SOAK else 60)]
    while {"queued", "running"} & set(deployment.states(jobs)):
        consumer = deployment.consumer(2, kind)
        began = deployment.ledger.began()
        wait_until(lambda past=began: deployment.ledger.began() >= min(len(jobs), past + 25), 30, "some more have run")
        consumer.signal(signum)
        gone(consumer, GRACE_S)
        assert {(job.state, job.crashes) for job in map(deployment.job, jobs)} <= {("done", 0), ("queued", 0)}
        assert deployment.ledger.running() == [] == deployment.control.workers()
    assert deployment.ledger.began() == len(jobs)
    assert {(job.state, job.crashes) for job in map(deployment.job, jobs)} == {("done", 0)}
