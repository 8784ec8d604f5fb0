"""Resumable work: how far a long job has come is kept with it, so that it goes on there after a death or a failure.

A checkpoint belongs to the job, not to the attempt: a retry, also one by hand after the job has failed, finds it; a job
that had ended well begins anew. Only the worker that holds the claim may write one, so a body that lost its job to a
rescuer cannot set another back: it learns of it by ClaimLost.
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
    """Keep `value` with the running job, or (without a value) answer what was kept last, None where nothing was.

    It is stored when this returns. `key` tells several apart. Outside of a job nothing is kept. Raises ClaimLost when
    the job was taken away from this worker, UnserializableError, StorageUnavailable.
    """
    job_context = current.current_job_context()
    if job_context is None:
        return None
    if value is _ASKED:
        data = job_context.huey.storage.checkpoint_of(job_context.claim, key)
        return (
            None
            if data is None
            else job_context.huey.serializer.deserialize(data, ("checkpoint", job_context.claim.id, key))
        )
    current.heed_timeout()
    _put(job_context, key, value)
    return None


def resume(rows: Iterable[Row], key: str = "rows", every_s: float = 1.0) -> Iterator[Row]:
    """The rows that the job has not done yet: `for row in resume(rows): ...` goes on where it was cut off.

    A row is done when the loop asks for the next one. How many are done is kept every `every_s` seconds (0: after each
    row) and when the body ends, so a kill repeats what was done since; the rows must come in the same order each time.
    Progress is told from it, unless the body tells its own. `key` tells several loops of a job apart.
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
        with suppress(errors.DueyError):  # the claim is lost, or the storage is away: some rows are done again
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
    data = job_context.huey.serializer.serialize(value, use=("checkpoint", job_context.claim.id, key))
    if len(data) > MAX_BYTES:
        raise ValueError(f"a checkpoint has at most {MAX_BYTES} bytes, this one {len(data)}: keep what names the place")
    if not job_context.huey.storage.put_checkpoint(job_context.claim, key, data):
        raise errors.ClaimLost(
            f"job {job_context.claim.id} was taken away from this worker: its checkpoint was not kept"
        )
