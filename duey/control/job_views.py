"""Jobs of the storage as frozen values: with decoded and redacted values of limited size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from duey import clock
from duey.execution.display import listed
from duey.execution.huey import DurableHuey
from duey.model.job import ENDED, Failure, Job, JobRecord, JobRequest
from duey.payload.plain import ASKED, IN_LIST, JOB, Bounds
from duey.payload.serializer import of_result
from duey.storage.values import StoredJob
from duey.tasks.registry import KnownTasks


class JobViews:
    """Makes the display form of jobs."""

    def __init__(self, huey: DurableHuey, known: KnownTasks) -> None:
        self._display, self._storage, self._known = huey.display, huey.storage, known

    def just_enqueued(self, job: JobRecord, request: JobRequest) -> Job:
        """The display form of a job that was just accepted, without reading it from the storage."""
        bounds = JOB if len(job.payload) > JOB.values else None  # each value takes at least one byte
        args, kwargs, mask = self._display.redacted(
            job.task, request.args, request.kwargs, job.context, bounds, job.payload
        )
        waiting = job.eta is not None and job.eta > clock.now()
        return Job(
            id=job.id, task=self._known.short(job.task), qualname=self._known.present(job.task), queue=job.queue,
            args=args, kwargs=kwargs,
            state="scheduled" if waiting else "queued", priority=job.priority, attempt=0, retries_left=job.retries,
            crashes=0, enqueued_at=job.enqueued_at, eta=job.eta,
            context=self._display.shown_context(job.context, mask), parent=job.parent, expires_at=job.expires_at,
            by=job.by,
        )  # fmt: skip

    def all_shown(self, found: Sequence[StoredJob], bounds: tuple[Bounds, Bounds]) -> tuple[Job, ...]:
        """The same of several jobs."""
        at_work = (partial(self._storage.progress_of, each.job.seq) for each in found if not each.waits)
        with self._storage.read_ahead(*at_work):
            return tuple(self.shown(each, bounds) for each in found)

    def shown(self, stored: StoredJob, bounds: tuple[Bounds, Bounds] = ASKED) -> Job:
        """The display form of a stored job, with arguments and result within `bounds`."""
        in_call, in_result = bounds
        if bounds is IN_LIST:
            stored = listed(stored)
        job = stored.job
        args, kwargs, mask = self._display.shown_call(job, in_call)
        result = self._display.shown_result(stored.result, mask, in_result, of_result(job.id))
        if not job.payload and isinstance(result, (str, list, dict)):
            result = "[not shown: the arguments are too large to look for secrets]"
        error = result if isinstance(result, Failure) else None
        since = max(job.enqueued_at, job.eta or 0.0)
        progress = self._storage.progress_of(job.seq) if not stored.waits else None
        return Job(
            id=job.id, task=self._known.short(job.task), qualname=self._known.present(job.task), queue=job.queue,
            args=args, kwargs=kwargs, state=stored.state, priority=job.priority, attempt=job.attempt,
            retries_left=job.retries, crashes=job.crashes, enqueued_at=job.enqueued_at, eta=job.eta,
            started_at=stored.started_at, finished_at=stored.finished_at,
            wait_ms=between_ms(since, stored.started_at), run_ms=between_ms(stored.started_at, stored.finished_at),
            progress=progress_of(progress), result=None if error else result,
            result_stored=stored.state not in ENDED or stored.result is not None or stored.state != "done",
            error=error, reason=stored.reason, context=self._display.shown_context(job.context, mask),
            worker=None if stored.worker is None else str(stored.worker), parent=job.parent,
            expires_at=job.expires_at, by=job.by,
        )  # fmt: skip


def progress_of(stored: str | None) -> dict[str, Any] | None:
    """What a body last said of its progress, without when that was."""
    found: dict[str, Any] | None = json.loads(stored) if stored else None
    if found is not None:
        found.pop("at", None)
    return found


def between_ms(start: float | None, end: float | None) -> float | None:
    """Milliseconds between two instants (epoch seconds), never negative because clocks may be set back."""
    if start is None or end is None:
        return None
    return round(max(0.0, end - start) * 1000, 3)
