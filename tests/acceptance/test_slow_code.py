"""An author's code that takes 5 s, wherever it runs, delays only its own job: no lock is held and no supervisor waits
meanwhile."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from duey import errors
from tests.acceptance.deployment import WORKLOAD, Deployment
from tests.acceptance.http_client import Answer
from tests.acceptance.variants import SOAK
from tests.support import wait_until

WORKERS = {"threads": ("thread", 11), "processes": ("process", 10)}  # by queue; two more than slow jobs
PLACES = {
    "constructor", "encoder", "pre_execute", "backoff", "post_execute", "complete", "on_failed", "str", "unique_key",
    "minute",
}  # fmt: skip
STATES = {
    **dict.fromkeys(("constructor", "encoder", "pre_execute", "post_execute", "complete", "together"), "done"),
    **dict.fromkeys(("backoff", "on_failed", "str", "dies"), "failed"),
    "waits": "canceled", "overdue": "retrying",
}  # fmt: skip
# The second of the same key replaces the first.
IN_WEB = (("sole", "x"), ("sole", "x"), ("overdue", {"password": "x"}))
SOON_S = 1.0 if SOAK else 4.0  # a busy machine is slower; the code takes 5 s
LOOK_S = 0.05 if SOAK else 0.5  # without a pause, looking takes more of a machine than all that is looked at


class Longest:
    """The longest of each thing that was measured, in seconds."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    def note(self, what: str, seconds: float) -> None:
        self.took[what] = max(self.took.get(what, 0.0), round(seconds, 3))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        since = time.monotonic()
        yield
        self.note(what, time.monotonic() - since)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("backend", "serializer"),
    [("sqlite", "json"), ("redis", "pickle"), *((("sqlite", "pickle"), ("redis", "json")) if SOAK else ())],
)
def test_only_its_own_job_waits_for_slow_code(deployment: Deployment, serializer: str):
    modules = {"modules": "workload, slow_tasks", "serializer": serializer}
    deployment.configure({"tasks": modules, "consumer": {"shutdown_timeout_s": 1}})
    enqueued = deployment.start(str(WORKLOAD.with_name("enqueue_slow.py")), *WORKERS)
    assert enqueued.wait(30) == 0, enqueued.err
    slow: dict[str, list[str]] = json.loads(enqueued.out)
    ledger, longest, quick = deployment.ledger, Longest(), []
    left: list[str] = []
    deployment.app("--web", DUEY_TEST_SLOW="1")
    for queue, (kind, count) in WORKERS.items():
        deployment.consumer(count, kind, DUEY_CONSUMER_QUEUES=f"{queue}, default", DUEY_TEST_SLOW="1")
    client = deployment.client()

    def request(task: str, *args: object) -> Answer:
        """Runs slow code in the web process."""
        return deployment.client().post("/api/jobs", {"task": task, "args": args, "delay": 3600})

    def look() -> bool:
        """What must go on: one quick job in each queue, requests, heartbeats, a worker that dies."""
        for queue in WORKERS:
            with longest.timed("POST"):
                answer = client.post("/api/jobs", {"task": "note", "args": [len(quick)], "queue": queue})
            at = time.monotonic()
            runs = wait_until(lambda: ledger.runs_of(len(quick)), 30, f"job {len(quick)} runs")
            longest.note(f"until a job in {queue} runs", runs[0].began - at)
            quick.append(answer.body["id"])
        with longest.timed("GET"):
            assert client.get("/api/jobs?limit=50").status == 200
        for worker in deployment.control.workers():
            longest.note("between heartbeats", time.time() - worker.heartbeat_at)
        name = f"mortal{len(quick)}"
        client.post("/api/jobs", {"task": "dies_once", "args": [name], "queue": "processes"})
        wait_until(lambda: ledger.runs_of(name)[1:], 30, f"{name} runs again")
        first, second = ledger.runs_of(name)[:2]  # Redis may not know of so short a first run: it dies again
        longest.note("until a killed job runs again", second.began - first.began)
        left[:] = [place for place in PLACES if not any(run.ended for run in ledger.runs_of(place))]
        with suppress(errors.UnknownJob):  # the callback of a chord that has not ended
            left.extend(name for name, jobs in slow.items() if set(deployment.states(jobs)) != {STATES[name]})
            return not left and all(each.done() for each in requests)
        return False

    with ThreadPoolExecutor() as pool:
        requests = [pool.submit(request, *each) for each in IN_WEB]
        with longest.timed("POST"):
            for job in slow["waits"]:
                assert client.post(f"/api/jobs/{job}/cancel").status == 202
        try:
            wait_until(look, 30, "all that is slow has ended", every_s=LOOK_S)
        except AssertionError as exc:
            raise AssertionError(f"{exc}: {left}, {longest.took}") from None
        assert [each.result().status for each in requests] == [202] * 3

    def recorded() -> bool:
        found = client.get("/api/jobs?task=note&state=done&limit=20").body["jobs"]
        return {job["id"] for job in found} == set(quick[-20:])

    with longest.timed("until the history has all jobs"):
        wait_until(recorded, 30, "the history has the last jobs")
    lines = [line[0].partition("@") for line in ledger.lines()]
    longest.note("until a schedule's job runs", max(float(late) for name, _, late in lines if name == "late"))
    seconds = sorted(float(slot) for name, _, slot in lines if name == "second")
    longest.note("between slots", max(after - before for before, after in itertools.pairwise(seconds)) - 1)
    for backoff in ledger.runs_of("backoff_after_a_kill"):
        assert backoff.ended is None, "it is killed meanwhile"
    assert {what: took for what, took in longest.took.items() if took > SOON_S} == {}
