"""What happened to a job, as frozen values: written with the job, in its transaction, read by the history.

The identity of an event is (job id, token, kind), so that a batch that is applied twice changes nothing. Sequence
numbers order the events of one job and may be used again after a restore.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ENQUEUED = "enqueued"  # accepted; token 0
DONE, FAILED, CANCELED, EXPIRED = "done", "failed", "canceled", "expired"  # ended
RETRYING = "retrying"  # an attempt failed and another will come
RELEASED = "released"  # the attempt was interrupted by a shutdown; back in the queue, nothing counted
RESCUED = "rescued"  # its worker died; back in the queue, the delivery counted
PARKED, UNPARKED = "parked", "unparked"
RETRIED = "retried"  # by hand
COUNTED = "counted"  # of no job: how many successes of a task and minute were folded (duey.storage.compaction)


class Event(NamedTuple):
    """One thing that happened to one job, with what the history needs to know of it, redacted and in plain values."""

    seq: int
    kind: str
    job_id: str
    token: int
    at: float
    task: str
    queue: str
    priority: float
    enqueued_at: float
    attempt: int = 0
    started_at: float | None = None
    worker: int | None = None
    args: list[Any] | None = None  # with ENQUEUED
    kwargs: dict[str, Any] | None = None
    result: Any = None  # with DONE
    detail: dict[str, Any] = {}  # error, log lines, reason; never changed
