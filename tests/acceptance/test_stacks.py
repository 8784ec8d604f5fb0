"""Where a running body stands, of both kinds of workers."""

from __future__ import annotations

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import crossed
from tests.support import wait_until


@crossed
def test_where_a_running_job_stands_is_shown_when_somebody_asks(deployment: Deployment, kind: str):
    deployment.consumer(2, kind)
    jobs = [deployment.tasks.busy(1, 30), deployment.tasks.note(2, 30)]
    deployment.wait_running(2)
    storage = deployment.huey.storage
    for job, line in zip(jobs, ("time.sleep(0.02)", "time.sleep(seconds)"), strict=True):
        token = storage.get_job(job.id).token
        assert storage.stack_of(token) is None
        found: list[str] = []

        def answered(token: int = token, line: str = line, found: list[str] = found) -> bool:
            storage.ask_stack(token)
            _, text = storage.stack_of(token) or (0.0, "")
            found[:] = [text]
            return line in text  # a busy body may be anywhere

        wait_until(answered, 30, "the worker has answered")
        assert "/duey/" not in found[0] and found[0].startswith("Traceback (most recent call last):\n  File ")
