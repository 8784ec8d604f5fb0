"""The `on_failed` handler of a task, which runs as a job of its own after a job has failed for good.

It is registered as the task `TASK.on_failed`. Whatever fails a job (its last attempt, a discard, too many crashes, a
time-out, an unknown task) enqueues the handler's job in the same transaction, so that there is exactly one for each
failed job, through any crash. It has no retries and no handler of its own. If it fails, it is shown like any failed
job.

Such a job cannot be enqueued from outside (`EnqueuingHuey.new_job` refuses it). The handler checks again that its job
was made for the failure of a job of its task.

The job carries a flag that its task has a handler, so that a rescuer need not know the task.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from huey.registry import Message

from duey import clock, errors
from duey.model.job import FAILED, Failure, Job, JobRecord
from duey.model.outcome import Outcome
from duey.payload.serializer import of_job, of_new_job
from duey.tasks.current import current_job, current_job_context

SUFFIX = ".on_failed"
Handler = Callable[[Job, Failure], Any]
TRACEBACK_MAX = 8 * 1024  # of the handler's argument; the whole traceback stays with the failed job


def handler_of(huey: Any, task: str, on_failed: Any) -> Callable[..., Any]:
    """The function of the handler's task. Its arguments are plain values that say what failed. It calls `on_failed`."""
    call: Handler = getattr(on_failed, "func", on_failed)  # it may be a task itself

    def run(job: dict[str, Any], error: dict[str, Any]) -> Any:
        args, kwargs = arguments_of(huey, job["id"])
        return call(Job(**job, args=args, kwargs=kwargs), Failure(**error))

    run.__doc__ = f"Runs when a job of {task} has failed for good."
    return run


def arguments_of(huey: Any, job_id: str) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the failed job for which the running one was made, read from the failed job; empty if that was
    removed meanwhile. Raises InternalTask if the running job was not made for its failure."""
    here = current_job()
    found = huey.storage.get_job(here.id) if here else None
    own = found.job if found else None
    if own is None or own.parent != job_id or not own.task.endswith(SUFFIX):
        raise errors.InternalTask(own.task if own else SUFFIX[1:])
    stored = huey.storage.get_job(job_id)
    if stored is None:
        return [], {}
    job = stored.job
    if job.task + SUFFIX != own.task:
        raise errors.InternalTask(own.task)
    body = current_job_context()
    assert body is not None
    body.handles, body.mask = True, body.mask.joined(huey.display.shown_call(job)[2])
    message = huey.serializer.deserialize(job.payload, of_job(job))
    return list(message.args), dict(message.kwargs)


def handler_job(outcome: Outcome, serialize: Callable[..., bytes]) -> JobRecord:
    """The job that calls the handler."""
    failed = outcome.claim.job
    detail = json.loads(outcome.detail or "{}")
    shown = {
        "id": failed.id, "task": failed.task.rpartition(".")[2], "qualname": failed.task, "queue": failed.queue,
        "state": FAILED, "priority": failed.priority, "attempt": outcome.attempts,
        "retries_left": outcome.retries, "crashes": failed.crashes, "enqueued_at": failed.enqueued_at,
        "eta": failed.eta, "started_at": outcome.started_at, "finished_at": outcome.finished_at,
        "context": json.loads(failed.context) if failed.context else {}, "by": failed.by,
    }  # fmt: skip
    error = {
        "type": str(detail.get("type", "")), "message": str(detail.get("message", "")),
        "traceback": str(detail.get("traceback", ""))[-TRACEBACK_MAX:],
    }  # fmt: skip
    job_id, task = str(uuid.uuid4()), failed.task + SUFFIX
    message = Message(job_id, task, None, 0, 0, None, (shown, error), {})
    return JobRecord(
        id=job_id, task=task, queue=failed.queue, priority=failed.priority, enqueued_at=clock.now(), eta=None,
        expires_at=None, retries=0, retry_delay_s=0.0, timeout_s=None, flags=0, unique_key=None, parent=failed.id,
        chord=None, context=failed.context, by=failed.by,
        payload=serialize(message, use=of_new_job(job_id, task, failed.context, None)),
    )  # fmt: skip
