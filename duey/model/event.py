"""Events: what happened to a job. An event is written in the transaction of the change, and read by the history.

The identity of an event is (job id, token, kind, instant), so recording a batch twice changes nothing. Sequence numbers
order the events of one job, and may be used again after a restore.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from duey.errors import StorageUnavailable

ENQUEUED = "enqueued"  # accepted; token 0
DONE, FAILED, CANCELED, EXPIRED = "done", "failed", "canceled", "expired"  # the job has ended
RETRYING = "retrying"  # an attempt has failed, and another one follows
RELEASED = "released"  # a stop interrupted the attempt; the job is in the queue again, nothing is counted
RESCUED = "rescued"  # its worker died; the job is in the queue again
BLOCKED, UNBLOCKED = "blocked", "unblocked"
RETRIED = "retried"  # by hand
# These belong to no job:
COUNTED = "counted"  # counts of compacted events of a task and minute (duey.storage.compaction)
DIED = "died"  # a worker process died without an event of a job that says so
JOBLESS = frozenset({COUNTED, DIED})

OWNER_S = 30.0  # the owner of the events says three times in this time that it records


class OutboxOwner(NamedTuple):
    """The one history into which the events of a queue are moved. `term` rises with each owner, and whenever the owner
    is recorded at another place."""

    history: str  # its identity
    where: str  # HOST:FILE, or the address of its database
    term: int
    at: float  # when a recorder last said that it records

    def is_silent(self, now: float) -> bool:
        """Whether the same history may be recorded at another place."""
        return now - self.at >= OWNER_S


class OutboxLost(StorageUnavailable):
    """The history that wanted to read or delete events does not own them any more. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the events of this queue are recorded by another history now: `duey status` says where")


class Event(NamedTuple):
    """One event of one job, with what the history records, in its display form."""

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
