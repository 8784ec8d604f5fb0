"""What a task's body may say while it runs: progress, and how it wants to end."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from huey.exceptions import CancelExecution, RetryTask

_local = threading.local()
EVERY_S = 1.0  # progress costs at most one write a second


class Retry(RetryTask):
    """Raise it to run the job again after `delay_s` seconds, without spending a retry."""

    def __init__(self, delay_s: float | None = None, message: str | None = None) -> None:
        super().__init__(message, delay=delay_s)


class Discard(CancelExecution):
    """Raise it to end the job as failed at once, whatever retries are left."""

    def __init__(self, why: str) -> None:
        super().__init__(why, retry=False)


class Body:
    """The running body of this thread."""

    def __init__(self, huey: Any, claim: Any) -> None:
        self.huey, self.claim = huey, claim
        self.said_at = 0.0
        self.pending: str | None = None


def enter(huey: Any, claim: Any) -> Body:
    """A body begins in this thread."""
    body = Body(huey, claim)
    _local.body = body
    return body


def leave(body: Body) -> None:
    """The body ended: what it said last is written."""
    _local.body = None
    if body.pending is not None:
        _write(body, body.pending)


def current_job() -> Any:
    """The claim of the job whose body runs in this thread, or None outside of one."""
    body = getattr(_local, "body", None)
    return body.claim if body else None


def canceled() -> bool:
    """True once the running job was asked to stop: end soon."""
    body = getattr(_local, "body", None)
    return bool(body and body.huey.storage.stop_asked([body.claim.seq]))


def progress(done: float, total: float | None = None, note: str = "") -> None:
    """Say how far the running body is; outside of a job nothing happens. Written at most once a second."""
    body: Body | None = getattr(_local, "body", None)
    if body is None:
        return
    data = json.dumps({"done": done, "total": total, "note": str(note)[:200]})
    if time.monotonic() - body.said_at >= EVERY_S:
        _write(body, data)
    else:
        body.pending = data


def _write(body: Body, data: str) -> None:
    body.said_at, body.pending = time.monotonic(), None
    try:
        body.huey.storage.put_progress(body.claim.seq, data)
    except Exception:
        body.pending = data  # progress is a courtesy: it never fails a job
