"""The verbs that web, API and operator use: one place where a person's or a program's wish meets the engine.

`Control` checks a wish (task known, arguments fit), hands it to the storage in one transaction, and answers with
frozen values of engine.jobs. Every verb is conditional on the state it was decided on, and says so when the
state was another. Nothing here knows HTTP or HTML.

Errors: BadRequest and below (unknown task or job, refused arguments), Conflict and below, TooManyPending,
StorageUnavailable and below. See engine.errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.jobs import (
    Counts,
    Deferral,
    Health,
    Idempotency,
    Job,
    JobRequest,
    Page,
    QueueInfo,
    TaskInfo,
    WorkerInfo,
)


class Control:
    """All verbs over one `huey`."""

    def __init__(self, huey: Any) -> None:
        self.huey = huey

    # defer and look up

    def defer(self, requests: Sequence[JobRequest], idempotency: Idempotency | None = None) -> Deferral:
        """Accept all requests in one transaction, or none. Errors in a batch carry paths like `[3].args[0]`."""
        raise NotImplementedError

    def job(self, job_id: str) -> Job:
        """The live state of one job, or its end while `result_ttl_s` lasts. Raises UnknownJob."""
        raise NotImplementedError

    def wait(self, job_id: str, timeout_s: float) -> Job:
        """As `job`, but returns as soon as it has ended, at the latest after `timeout_s` with its present state."""
        raise NotImplementedError

    def jobs(
        self, state: str | None = None, task: str | None = None, q: str | None = None, limit: int = 50,
        cursor: str | None = None,
    ) -> Page:  # fmt: skip
        """Newest first, at most `limit` (1..500). `q` matches id or task text. A bad cursor is a BadRequest."""
        raise NotImplementedError

    # verbs on a job

    def cancel(self, job_id: str) -> Job:
        """Waiting: canceled at once. Running: asked to stop. Ended: StateConflict."""
        raise NotImplementedError

    def retry(self, job_id: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> Job:
        """Run an ended or retrying job again (same id), optionally with other arguments."""
        raise NotImplementedError

    # tasks, queues, workers

    def tasks(self) -> list[TaskInfo]:
        """The registered tasks, by name."""
        raise NotImplementedError

    def task(self, name: str) -> TaskInfo:
        """One task by short or full name. Raises UnknownTask, AmbiguousTask."""
        raise NotImplementedError

    def pause_task(self, name: str) -> None:
        """Waiting jobs of the task wait until it is resumed; running ones end."""
        raise NotImplementedError

    def resume_task(self, name: str) -> None:
        raise NotImplementedError

    def queues(self) -> list[QueueInfo]:
        raise NotImplementedError

    def pause_queue(self, name: str) -> None:
        raise NotImplementedError

    def resume_queue(self, name: str) -> None:
        raise NotImplementedError

    def workers(self) -> list[WorkerInfo]:
        raise NotImplementedError

    def quiet(self, worker_id: str) -> None:
        """Ask a consumer to take no more jobs."""
        raise NotImplementedError

    def stop(self, worker_id: str) -> None:
        """Ask a consumer to end gracefully."""
        raise NotImplementedError

    # the whole

    def counts(self) -> Counts:
        raise NotImplementedError

    def health(self) -> Health:
        """Storage usable, a live consumer, warnings of the storage. Never raises."""
        raise NotImplementedError
