"""The workload under sentry-sdk with its own Huey integration: what it would send goes to a file, a line an event."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.huey import HueyIntegration
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.transport import Transport

from duey import Canceled, Discard, Retry, current_job, huey


class ToFile(Transport):
    def capture_envelope(self, envelope: Any) -> None:
        event = envelope.get_event()
        if event is not None:
            with open(os.environ["DUEY_TEST_LEDGER"] + ".events", "a", encoding="utf-8") as file:
                file.write(json.dumps(event, default=str) + "\n")


sentry_sdk.init(dsn="http://key@sentry.example/1", transport=ToFile, integrations=[HueyIntegration()])
ignore_logger("duey.jobs")  # its lines tell of the same failures


class Again(Retry):
    """An author's own."""


@huey.task()
def held(seconds: float) -> None:
    with huey.lock_task("watched"):
        time.sleep(seconds)


@huey.task()
def limited() -> None:
    with huey.rate_limit("watched", 1, 2):
        pass


@huey.task(retries=1)
def steers(how: str) -> str:
    if current_job().attempt == 0:
        if how == "retry":
            raise Retry(0.01)
        if how == "again":
            raise Again(0.01)
        if how == "discard":
            raise Discard("no use")
        if how == "canceled":
            raise Canceled
        raise ValueError("a failure")
    return how
