"""Waits for a job to end, without polling: the script that ends it pushes to a list of the waiting process."""

from __future__ import annotations

import contextlib
import time
import uuid

from duey import clock, errors
from duey.storage.redis.client import Server
from duey.storage.redis.kv import kind_of

LOOK_S = 5.0  # longest delay if a wake-up is lost


def wait_ended(server: Server, job_id: str, timeout_s: float) -> bool:
    """Wait until the job has ended or the key exists. False after `timeout_s`."""
    name, deadline = uuid.uuid4().hex, time.monotonic() + timeout_s
    try:
        while True:
            if server.run("wait", job_id, name, 1, kind_of(job_id), clock.now(), again=True):
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            server.wait_at(f"wait:{name}", min(left_s, LOOK_S))
    finally:
        with contextlib.suppress(errors.StorageUnavailable):
            server.run("wait", job_id, name, 0, again=True)
