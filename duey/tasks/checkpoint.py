"""Checkpoints: how far a long job has come, so that it can continue there after a death or a failure.

A checkpoint belongs to the job, not to the attempt. A retry finds it, also one by hand after the job has failed. A job
that was done and is retried starts from the beginning. Only the worker that holds the claim may write one, so a body
that has lost its job to a rescuer cannot overwrite the checkpoint of the next attempt: it gets ClaimLost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from duey import errors
from duey.tasks import current

Row = TypeVar("Row")
MAX_BYTES = 1024 * 1024
_ASKED: Any = object()


def checkpoint(value: Any = _ASKED, key: str = "") -> Any:
    """Store `value` with the running job; without a value, return what was stored last, or None.

    It is stored when this returns. `key` distinguishes several checkpoints of a job. Outside of a job nothing is
    stored. Raises ClaimLost if the job was taken away from this worker, UnserializableError, StorageUnavailable.
    """
    job_context = current.current_job_context()
    if job_context is None:
        return None
    if value is _ASKED:
        data = job_context.huey.storage.checkpoint_of(job_context.claim, key)
        return (
            None
            if data is None
            else job_context.huey.serializer.deserialize(data, ("checkpoint", job_context.claim.job.id, key))
        )
    current.heed_timeout()
    _put(job_context, key, value)
    return None


def resume(rows: Iterable[Row], key: str = "rows", every_s: float = 1.0) -> Iterator[Row]:
    """The rows that the job has not processed yet: `for row in resume(rows): ...` continues where it was interrupted.

    A row counts as done when the loop asks for the next one. The number of rows that are done is stored every `every_s`
    seconds (0: after each row) and when the body ends. A kill repeats the rows since then. The rows must come in the
    same order each time. Progress is reported from the number, unless the body reports its own. `key` distinguishes
    several loops of a job.
    """
    job_context = current.current_job_context()
    if job_context is None:
        yield from rows
        return
    done = kept = int(checkpoint(key=f"resume {key}") or 0)
    total = len(rows) if isinstance(rows, Sized) else None
    kept_at = time.monotonic()

    def keep() -> None:
        nonlocal kept, kept_at
        if done != kept:
            _put(job_context, f"resume {key}", done)
            kept, kept_at = done, time.monotonic()

    def keep_at_end() -> None:
        with suppress(errors.DueyError):  # the claim is lost or the storage unavailable: some rows will be repeated
            keep()

    job_context.at_end += (keep_at_end,)
    for row in islice(iter(rows), done, None):
        yield row
        done += 1
        current.heed_timeout()
        if time.monotonic() - kept_at >= every_s:
            keep()
            if not job_context.reports_progress:
                job_context.report_progress(done, total, "")
    if not job_context.reports_progress:
        job_context.report_progress(done, total, "")


def _put(job_context: current.JobContext, key: str, value: Any) -> None:
    data = job_context.huey.serializer.serialize(value, use=("checkpoint", job_context.claim.job.id, key))
    if len(data) > MAX_BYTES:
        raise ValueError(f"a checkpoint has at most {MAX_BYTES} bytes, this one {len(data)}: keep a reference to it")
    if not job_context.huey.storage.put_checkpoint(job_context.claim, key, data):
        raise errors.ClaimLost(
            f"job {job_context.claim.job.id} was taken away from this worker: its checkpoint was not kept"
        )
