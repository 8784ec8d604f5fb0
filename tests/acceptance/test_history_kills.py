"""kill -9 of web, consumer or both at any moment: the history tell what really ran, each job and each attempt once.

The tests keep their own ledger (tests.acceptance.ledger), and read the history file as a restarted web process would.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from duey import config
from duey.errors import UnknownJob
from duey.model.job import ENDED, Job
from duey.monitor.history import History
from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import SEED, Harm, explained
from tests.acceptance.processes import Process
from tests.acceptance.variants import SOAK, crossed, sqlite_in_suite
from tests.support import rounds, wait_until

AGREED_S, LIVE_S = (10.0, 5.0) if SOAK else (30.0, 30.0)  # a busy machine is slower


def produce(deployment: Deployment, handles: dict[int, Any], stop: threading.Event) -> None:
    """Defer until told to stop: nine of ten are short or long enough to be caught, one fails, one is retried."""
    rng = random.Random(SEED)
    tasks = deployment.tasks
    for n in range(10**7):
        if stop.is_set():
            return
        kind = n % 10
        seconds = rng.choice((0.0, 0.0, 0.01, 0.1))
        handles[n] = tasks.fail(n) if kind == 3 else tasks.flaky(n, 1) if kind == 7 else tasks.note(n, seconds)
        stop.wait(rng.uniform(0, 0.03))


@pytest.fixture
def history(deployment: Deployment) -> Iterator[History]:
    """The history of the deployment, looked at from outside."""
    settings = config.load(deployment.config, environ={})
    found = History(settings.monitor.database, settings.monitor)
    yield found
    found.close()


def on_record(history: History, job_id: str) -> Job | None:
    try:
        return history.job(job_id)
    except UnknownJob:
        return None


def start_web(deployment: Deployment) -> Process:
    """Once it is ready."""
    return deployment.app("--web")


@crossed
def test_the_books_agree_with_what_ran(deployment: Deployment, history: History, kind: str):
    deployment.configure({"tasks": {"max_crashes": 1000}})
    rng = random.Random(SEED)
    web = start_web(deployment)
    harm = Harm(deployment, 2, kind, rng)
    handles: dict[int, Any] = {}
    stop = threading.Event()
    producer = threading.Thread(target=produce, args=(deployment, handles, stop))
    assert deployment.tasks  # loaded before the thread wants it
    producer.start()
    try:
        for i in range(rounds(3, soak=50)):
            deployment.wait_taking(harm.consumer)
            time.sleep(rng.uniform(0, 0.5))
            what = ("both", "web", "consumer")[i % 3]
            if what != "consumer":
                web.kill_tree()
            if what != "web":
                harm.do("tree")
            if what != "consumer":
                web = start_web(deployment)
    finally:
        stop.set()
        producer.join()
    ended = dict(zip(handles, deployment.wait_ended(list(handles.values()), 60 + len(handles) / 20), strict=True))

    def unrecorded() -> list[str]:
        found = [(job, on_record(history, job.id)) for job in ended.values()]
        return [job.id for job, told in found if told is None or told.state not in ENDED]

    wait_until(lambda: not unrecorded(), AGREED_S, "no job is missing in the history, none stands as if it went on")
    runs, rescues = deployment.ledger.runs(), 0
    for n, job in ended.items():
        told = history.job(job.id)
        assert (told.state, told.attempt, told.crashes) == (job.state, job.attempt, job.crashes), f"seed {SEED}"
        assert told.state == ("failed" if n % 10 == 3 else "done")
        attempts = history.attempts(job.id)
        outcomes = [each.outcome for each in reversed(attempts)]
        # Each attempt once: one end, one failed try of those that are told to fail once, a rescue for each death.
        assert outcomes[-1] == told.state and outcomes.count(told.state) == 1, (n, outcomes)
        assert outcomes.count("retrying") == (n % 10 == 7)
        rescues += outcomes.count("rescued")
        assert job.crashes == 0, "whole consumers were killed: no job is charged"
        assert len({(each.outcome, each.finished_at) for each in attempts}) == len(attempts)
        # What the ledger knows beyond that was cut off, or ran to its end a moment before a kill.
        unexplained = [run for run in runs[str(n)] if not explained(run, harm.killed)]
        assert len(unexplained) <= outcomes.count(told.state) + outcomes.count("retrying")
        assert len(runs[str(n)]) >= 1 + outcomes.count("retrying")
    # Rates count jobs, not attempts.
    totals = history.totals()
    failing, all_jobs = sum(n % 10 == 3 for n in ended), len(ended)
    assert (totals.enqueued, totals.done, totals.failed) == (all_jobs, all_jobs - failing, failing)
    assert totals.retried == sum(n % 10 == 7 for n in ended)
    assert totals.rescued == rescues
    assert rescues or not SOAK, "in a long run some jobs were running when they were killed"
    wait_until(lambda: deployment.control.counts().events == 0, AGREED_S, "nothing waits for the history")


def listed(deployment: Deployment, state: str) -> set[str]:
    client = deployment.client()
    try:
        answer = client.get(f"/api/jobs?state={state}&limit=100")
    finally:
        client.close()
    assert answer.status == 200, answer
    return {job["id"] for job in answer.body["jobs"]}


@sqlite_in_suite
def test_the_live_view_is_right_soon_after_a_restart(deployment: Deployment):
    web = start_web(deployment)
    consumer = deployment.consumer(2)
    running = {deployment.tasks.note(n, 60).id for n in range(2)}
    waiting = {deployment.tasks.note(n, 0).id for n in range(2, 5)}
    deployment.wait_running(2)
    web.kill_tree()
    web = start_web(deployment)
    wait_until(lambda: listed(deployment, "running") == running, LIVE_S, "what runs is shown as running")
    assert listed(deployment, "queued") == waiting

    web.kill_tree()
    consumer.kill_tree()
    web = start_web(deployment)
    deployment.consumer(2)
    wait_until(lambda: len(listed(deployment, "running")) == 2, LIVE_S, "two run again")
    assert listed(deployment, "running") | listed(deployment, "queued") == running | waiting
    assert web.popen.poll() is None
