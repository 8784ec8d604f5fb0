"""Where the consumer's log goes, whatever its tasks and its command line do to logging; what goes to Sentry."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed, once
from tests.support import wait_until


def lines_kept(deployment: Deployment, job_id: str) -> list[str]:
    """What was logged in a job's bodies, as the history gets it."""
    events = deployment.huey.lifecycle.read_events(1000)
    return [line[2] for event in events if event.job_id == job_id for line in event.detail.get("logs", ())]


def contains(file: Path, text: str) -> bool:
    return text in file.read_text()


@crossed
def test_tasks_that_configure_logging_silence_nobody(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, logging_tasks"}, "consumer": {"workers": 1}})
    tasks = deployment.load("logging_tasks")
    deployment.consumer(1, kind, DUEY_TEST_CONFIGURE="1")
    jobs = [tasks.says("first"), tasks.configures(), tasks.says("second")]
    deployment.wait_ended(jobs, 30)
    for job, line, file in ((jobs[0], "first", "ledger.at_import"), (jobs[2], "second", "ledger.in_body")):
        assert lines_kept(deployment, job.id) == [line]
        said = f"job {job.id} (logging_tasks.says) failed: ValueError: {line}"
        wait_until(partial(contains, deployment.folder / file, said), 30, file)


@once
def test_a_log_file_holds_what_is_logged(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"modules": "workload, logging_tasks"}})
    job = deployment.load("logging_tasks").says("into the file")
    log = deployment.folder / "own.log"
    process = deployment.start(
        "-m", "huey.bin.huey_consumer", "consumer.huey", "-w", "1", "-k", kind, "-l", str(log)
    )  # fmt: skip
    deployment.wait_taking(process)
    deployment.wait_ended([job], 30)
    wait_until(partial(contains, log, f"job {job.id} (logging_tasks.says) failed"), 30, "the failure is in the file")
    assert "into the file: into the file" in log.read_text() and "consumer" in log.read_text()


@crossed
def test_only_failures_are_reported(deployment: Deployment, kind: str):
    """By Sentry's own Huey integration: a held lock, a limit, Retry, Discard, Canceled and subclasses are no events."""
    deployment.configure({"tasks": {"modules": "workload, sentry_tasks"}})
    # In a process of its own: sentry-sdk replaces methods of Huey wherever it is started.
    how_it_ends = ("retry", "again", "discard", "canceled", "fail")
    calls = [("held", 1.5), *[("held", 0.01)] * 3, *[("limited",)] * 3, *(("steers", how) for how in how_it_ends)]
    ids = deployment.enqueue_apart("sentry_tasks", *calls)
    deployment.consumer(4, kind)
    assert {job.state for job in deployment.wait_ended(ids[:7], 60)} == {"done"}
    ended = deployment.wait_ended(ids[7:], 30)
    assert [job.state for job in ended] == ["done", "done", "failed", "canceled", "done"]
    assert (ended[2].error.type, ended[2].error.message) == ("Discard", "no use")
    events = [json.loads(line) for line in (deployment.folder / "ledger.events").read_text().splitlines()]
    errors = [event for event in events if event.get("type") != "transaction"]
    seen = [event["exception"]["values"][-1]["type"] for event in errors]
    assert seen == ["ValueError"], errors
