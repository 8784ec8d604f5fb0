"""The state of a job while a batch is applied: a mutable copy of one row of `jobs`.

`read` makes it from a row, without the columns that never change; `begin` makes it from the first event of a job.
`known` holds the identities of the job's rows in `entries`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from duey.model.event import ENQUEUED, Event
from duey.model.job import QUEUED
from duey.monitor.history import plain
from duey.monitor.history.columns import CALL, CHANGING, ENDING

Identity = tuple[float, str, int]  # at, kind, token

READ = ("n", "id", "task", "queue", *CHANGING)
INSERTED = (*READ, *CALL)
MAX_ID_CHARS = 1000


class JobState:
    """The columns of `jobs` as attributes, and flags for how the row must be written."""

    __slots__ = (*INSERTED, "call_is_new", "is_changed", "is_done", "is_new", "known")

    n: int
    id: str
    task: str
    queue: str
    state: str
    priority: float
    enqueued_at: float
    changed_at: float
    ready_at: float
    eta: float | None
    expires_at: float | None
    started_at: float | None
    finished_at: float | None
    wait_ms: float | None
    run_ms: float | None
    attempt: int
    crashes: int
    retries_left: int
    token: int | None
    worker: int | None
    accepted: int
    entries: int
    reason: str | None
    fingerprint: str | None
    error_type: str | None
    error_message: str | None
    progress: str | None
    result: str | None
    cpu_ms: float | None
    peak_bytes: int | None
    parent: str | None
    by: str | None
    context: str | None
    names: str | None
    args: str | None
    kwargs: str | None
    keep_s: float | None
    is_new: bool
    is_changed: bool  # any column
    is_done: bool  # at least the columns ENDING
    call_is_new: bool
    known: set[Identity]


def id_of(event: Event) -> str:
    """Return the job's id as it is stored."""
    return plain.text(event.job_id, MAX_ID_CHARS)


def read(row: Sequence[Any]) -> JobState:
    """Return the state for a row of the columns READ."""
    s = JobState()
    (
        s.n, s.id, s.task, s.queue, s.state, s.priority, s.enqueued_at, s.changed_at, s.ready_at, s.eta, s.expires_at,
        s.started_at, s.finished_at, s.wait_ms, s.run_ms, s.attempt, s.crashes, s.retries_left, s.token, s.worker,
        s.accepted, s.entries, s.reason, s.fingerprint, s.error_type, s.error_message, s.progress, s.result,
        s.cpu_ms, s.peak_bytes,
    ) = row  # fmt: skip
    s.parent = s.by = s.context = s.names = s.args = s.kwargs = s.keep_s = None
    s.is_new = s.is_changed = s.is_done = s.call_is_new = False
    s.known = set()
    return s


def begin(n: int, job_id: str, event: Event) -> JobState:
    """Return the state of a job that the history does not have yet."""
    s = JobState()
    s.n, s.id, s.task, s.queue = n, job_id, plain.text(event.task, 500), plain.text(event.queue, 500)
    s.state, s.priority = QUEUED, plain.number(event.priority)
    s.enqueued_at = s.ready_at = plain.number(event.enqueued_at, event.at)
    s.changed_at = event.at
    s.attempt = s.crashes = s.retries_left = s.accepted = s.entries = 0
    s.eta = s.expires_at = s.started_at = s.finished_at = s.wait_ms = s.run_ms = s.token = s.worker = None
    s.reason = s.fingerprint = s.error_type = s.error_message = s.progress = s.result = None
    s.cpu_ms = s.peak_bytes = None
    s.parent = s.by = s.context = s.names = s.args = s.kwargs = s.keep_s = None
    s.is_new, s.is_changed, s.is_done, s.call_is_new = True, True, False, False
    s.known = set()
    return s


def is_known(s: JobState, event: Event) -> bool:
    """Return whether the history has this event."""
    if event.kind == ENQUEUED and s.accepted and event.at == s.enqueued_at:
        return True
    if event.kind == s.state and event.token == s.token and event.at == s.finished_at:
        return True
    return bool(s.known) and (event.at, event.kind, event.token) in s.known


# Rows for the statements of duey.monitor.history.recording.writing.
as_inserted = attrgetter(*INSERTED)
as_changed = attrgetter(*CHANGING, "n")
as_done = attrgetter(*ENDING, "n")
as_call = attrgetter(*CALL, "n")
