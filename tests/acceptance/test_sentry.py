"""What steers a job is no failure to those who watch: sentry-sdk's own Huey integration sends what failed, only."""

from __future__ import annotations

import json

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed

HOW = ("retry", "again", "discard", "canceled", "fail")


@crossed
def test_only_failures_are_reported(deployment: Deployment, kind: str):
    """A held lock, a rate limit, Retry, Discard and Canceled, and classes made of them, are no events."""
    deployment.configure({"tasks": {"modules": "workload, sentry_tasks"}})
    # In a process of its own: sentry-sdk replaces methods of Huey wherever it is started.
    calls = [("held", 1.5), *[("held", 0.01)] * 3, *[("limited",)] * 3, *(("steers", how) for how in HOW)]
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
