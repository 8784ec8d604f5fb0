"""Every deed at every place where an author's code runs, drawn by a seed (`DUEY_TEST_SEED`), beside other jobs.

Whatever is drawn: every job ends in exactly one state, no body of an `on_crash="fail"` task runs twice, no worker is
missing for long, neighbours end well and soon, health tells the truth, and the consumer stops when it is asked to.
A failure shows its seed and the whole plan; `DUEY_TEST_PLAN` (the plan's JSON) plays one plan alone.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from typing import NamedTuple

import pytest

from duey.model.job import ENDED
from tests.acceptance.deployment import SHUTDOWN_S, Deployment
from tests.acceptance.harm import SEED
from tests.acceptance.processes import Process, is_alive
from tests.acceptance.variants import SOAK, crossed
from tests.support import rounds, wait_until

WORKERS = 3
NEIGHBOURS_WITHIN_S = rounds(60.0, soak=15.0)
MISSING_S = rounds(5, soak=2)  # how long a worker may be missing; a suite shares the machine with others
PLACES = (
    "decode", "pre_execute", "executing", "body", "locked", "progress", "unique_key", "encode", "complete",
    "post_execute", "str", "error", "backoff", "retrying", "handler", "on_failed",
)  # fmt: skip
AT_START = ("", "on_startup", "on_worker_start", "on_shutdown")
DEEDS = (
    "ValueError", "Base", "SystemExit", "KeyboardInterrupt", "exit.0", "exit.1", "fork", "kill", "slow.2", "close",
    "log.2", "hang.2",
)  # fmt: skip
TASKS = ("victim", "once", "frail", "frail_once")
Call = tuple[str, int, str, str]  # task, n, place, deed
SHORT: dict[str, list[Call]] = {
    "thread": [
        ("once", 1, "decode", "fork"), ("frail", 2, "encode", "fork"), ("once", 3, "post_execute", "kill"),
        ("frail", 4, "backoff", "Base"), ("frail_once", 5, "body", "log.2"), ("frail_once", 6, "on_failed", "exit.0"),
    ],
    "process": [
        ("frail", 1, "str", "fork"), ("once", 2, "unique_key", "close"), ("once", 3, "complete", "exit.0"),
        ("frail", 4, "backoff", "kill"), ("frail_once", 5, "locked", "hang.2"), ("victim", 6, "handler", "SystemExit"),
    ],
}  # fmt: skip


class Plan(NamedTuple):
    """What is done in one round."""

    start: str  # what the first worker does as it starts, or ends
    calls: list[Call]


def drawn(seed: int) -> Plan:
    """Each place once, with a task and a deed by chance."""
    rng = random.Random(seed)
    places = rng.sample(PLACES, len(PLACES))
    calls = [(rng.choice(TASKS), n, place, rng.choice(DEEDS)) for n, place in enumerate(places, 1)]
    start = rng.choice(AT_START)
    return Plan(f"{start} {rng.choice(DEEDS)}" if start else "", calls)


class Watch:
    """Looks at a consumer ten times a second, from its first complete moment on."""

    def __init__(self, deployment: Deployment, units: int) -> None:
        self.missing_s = self.wrong_s = 0.0  # longest time in which a unit was missing; in which health was wrong
        self.said: tuple[str, ...] = ()  # by health, when it was wrong
        self._deployment, self._units = deployment, units
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        control, known, complete_at, right_at = self._deployment.control, set[int](), 0.0, 0.0
        while not self._over.wait(0.1):
            alive = {w.pid for w in control.workers() if w.alive and is_alive(w.pid)}
            health = control.health()
            now = time.monotonic()
            if len(alive) >= self._units or (complete_at and alive - known):  # one that is new was missing till now
                complete_at = now
            known |= alive
            if not complete_at:
                continue
            self.missing_s = max(self.missing_s, now - complete_at)
            if health.ok or not alive:
                right_at = now
            elif right_at and now - right_at > self.wrong_s:
                self.wrong_s, self.said = now - right_at, health.problems

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def play(deployment: Deployment, kind: str, plan: Plan) -> None:
    """One plan on one consumer, from its start to its end."""
    consumer = deployment.launch(WORKERS, kind, DUEY_TEST_START=plan.start)
    watch = Watch(deployment, 1 if kind == "thread" else WORKERS + 1)
    try:
        ids = deployment.enqueue_apart("fault_tasks", *plan.calls)
        neighbours = stand(deployment, ids)
        everything = [*ids, *neighbours]
        wait_until(lambda: unfinished(deployment) == 0, 60, "what failing jobs brought about has ended")
        check_workers(deployment)
    finally:
        watch.end()
    events = [(row.job.id, row.kind) for row in deployment.huey.storage.read_outbox(1_000_000) if row.job]
    ends = Counter(job_id for job_id, kind in events if kind in ENDED)
    assert ends == dict.fromkeys((job_id for job_id, _ in events), 1), "each job ends once"
    assert set(everything) <= ends.keys()
    closed = kind == "thread" and any(call[3] == "close" for call in plan.calls)
    if not closed:  # else a neighbour in the same process may have lost what it had open
        states = Counter(deployment.states(neighbours))
        assert states == {"done": len(neighbours)}, "neighbours end well"
    runs = deployment.ledger.runs()
    twice = {n: runs[str(n)] for task, n, _, _ in plan.calls if "once" in task and len(runs.get(str(n), ())) > 1}
    assert twice == {}, "what must not run twice does not"
    assert watch.missing_s <= MISSING_S, "no worker is missing for long"
    assert watch.wrong_s <= MISSING_S, f"health is right: {watch.said}"
    stop(deployment, consumer)


def stand(deployment: Deployment, ids: list[str]) -> list[str]:
    """Neighbours, one after another, until the jobs have ended; each ends in time."""
    began: dict[str, float] = {}
    waiting: set[str] = set()
    left, deadline = set(ids), time.monotonic() + 120
    while left or waiting:
        now = time.monotonic()
        assert now < deadline, f"these do not end: {[deployment.job(each) for each in left]}"
        if left:
            job = deployment.tasks.note(1000 + len(began), 0.05, priority=10)
            began[job.id] = now
            waiting.add(job.id)
        time.sleep(0.3)
        waiting = {each for each in waiting if deployment.state(each) not in ENDED}
        late = [each for each in waiting if time.monotonic() - began[each] > NEIGHBOURS_WITHIN_S]
        assert not late, f"neighbours are late: {[deployment.job(each) for each in late]}"
        left = {each for each in left if deployment.state(each) not in ENDED}
    return list(began)


def consumer_said(deployment: Deployment) -> list[str]:
    return [line for process in deployment.processes for line in process.err.splitlines()]


def unfinished(deployment: Deployment) -> int:
    counts = deployment.control.counts()
    return counts.queued + counts.running + counts.scheduled + counts.retrying


def check_workers(deployment: Deployment) -> None:
    """As many bodies run at once as there are workers."""
    before = len(deployment.ledger.running())  # what a death cut off
    jobs = [deployment.tasks.note(2000 + n, 1) for n in range(WORKERS)]
    wait_until(lambda: len(deployment.ledger.running()) - before >= WORKERS, 30, "all workers are at work")
    assert {job.state for job in deployment.wait_ended(jobs)} == {"done"}


def stop(deployment: Deployment, consumer: Process) -> None:
    """It is still there, is healthy, and ends when asked, with all that it has started."""
    assert consumer.popen.poll() is None
    assert deployment.control.health().ok
    consumer.popen.terminate()
    assert consumer.wait(SHUTDOWN_S) == 0
    wait_until(lambda: not consumer.pids(), 30, "nothing is left of it")
    wait_until(lambda: not deployment.control.health().ok, 30, "health says that nothing runs")


@crossed
@pytest.mark.timeout(rounds(120, soak=14400))
def test_whatever_an_author_does_is_done_to_nobody_else(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, fault_tasks"}})
    if "DUEY_TEST_PLAN" in os.environ:
        plans = {0: Plan(*json.loads(os.environ["DUEY_TEST_PLAN"]))}
    elif SOAK:
        plans = {seed: drawn(seed) for seed in range(SEED, SEED + 20)}
    else:
        plans = {0: Plan("on_startup Base" if kind == "thread" else "on_worker_start exit.0", SHORT[kind])}
    failures = []
    for seed, plan in plans.items():
        try:
            play(deployment, kind, plan)
        except AssertionError as exc:
            said = "\n".join(line for line in consumer_said(deployment) if " goes on (" not in line)[-3000:]
            failures.append(f"seed {seed}, DUEY_TEST_PLAN='{json.dumps(plan)}': {exc}\n{said}")
            for process in deployment.processes:
                process.kill_tree()
        deployment.forget()
        deployment.ledger.path.write_text("")
        deployment.ledger.path.with_name("ledger.started").unlink(missing_ok=True)
    assert not failures, "\n\n".join(failures)
