"""Converts stored events to what the history records: arguments and results in their display form."""

from __future__ import annotations

import json
from typing import Any

from duey.execution.display import TOO_LARGE, UNREADABLE, Display
from duey.model.event import ENQUEUED, RETRIED, Event
from duey.model.job import JobRecord
from duey.payload.clip import clip
from duey.payload.plain import Bounds
from duey.payload.redact import Mask
from duey.payload.serializer import of_result
from duey.storage.values import EventRow

READ_BYTES = 256 * 1024  # larger calls and results are not recorded in the history
GROWTH = 16  # the display form as JSON is at most so many times as large as the stored value


def event_of(display: Display, row: EventRow) -> Event:
    """A stored event for the history: in its display form, truncated to `max_value_kb`. Only those that
    are JOBLESS have no job."""
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    most = display.max_value_bytes
    detail = json.loads(row.detail) if row.detail else {}
    job = row.job
    if job is None:
        task = display.present(detail.get("task", ""))
        return Event(row.seq, row.kind, "", row.token, row.at, task, "", 0.0, row.at, worker=row.worker, detail=detail)
    if row.kind in (ENQUEUED, RETRIED):
        payload = job.payload if len(job.payload) <= READ_BYTES else b""
        args, kwargs, mask = display.shown_call(job._replace(payload=payload), _bounds(display))
        if len(job.payload) * GROWTH > most:
            args, kwargs = clip(args, most)[0], clip(kwargs, most)[0]
        signature = display.signature(job.task)
        detail |= {
            "eta": job.eta, "expires_at": job.expires_at, "retries": job.retries, "parent": job.parent,
            "by": job.by, "context": display.shown_context(job.context, mask),
            "names": signature.names_of(len(args or ())) if signature else [],
        }  # fmt: skip
        keep_s = display.kept_s(job.task)
        if keep_s is not None:
            detail["keep_s"] = keep_s
    result = detail.pop("shown", None)
    if row.result is not None and result is None and len(row.result) <= READ_BYTES:
        mask = _result_mask(display, job)
        result = display.shown_result(row.result, mask, _bounds(display), of_result(job.id))
        if len(row.result) * GROWTH > most:
            result = clip(result, most)[0]
    return Event(
        row.seq, row.kind, job.id, row.token, row.at, display.present(job.task), job.queue, job.priority,
        job.enqueued_at, row.attempt, row.started_at, row.worker, args, kwargs, result, detail,
    )  # fmt: skip


def _bounds(display: Display) -> Bounds:
    """About what fits into `max_value_bytes`. The exact truncation follows the redaction."""
    return Bounds(display.max_value_bytes // 8, 2 * display.max_value_bytes)


def _result_mask(display: Display, job: JobRecord) -> Mask:
    """The mask for the result of a job that is done. If its call cannot be looked through, no text is shown."""
    if job.payload and display.hides_nothing(job):
        return display.everywhere
    args, _, mask = display.shown_call(job, _bounds(display))
    return Mask((), display.redactor.text, hides_all=True) if args in ([TOO_LARGE], [UNREADABLE]) else mask
