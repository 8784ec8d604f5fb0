"""What runs once a job has failed for good: its task's `on_failed`, as a job of its own.

The handler is registered beside its task, as `TASK.on_failed`. Whatever ends a job as failed (its last attempt, a
discard, a worker that died too often, a time-out, a task that nobody knows) accepts the handler's job in the same
transaction, so that it runs exactly as often as jobs fail, through any crash. It has no retries and no handler of its
own: when it fails, that is seen like any failed job, and ends there.

Nobody else can make such a job (`EnqueuingHuey.new_job` refuses), and the handler looks again: it runs only in the job
that was accepted for the failure of a job of its own task.

Whether a task has a handler travels with the job (`flags`): who reaps a dead worker need not know the task.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from huey.registry import Message

from duey import clock, errors
from duey.model.job import FAILED, Failure, Job, NewJob, Settlement
from duey.payload.serializer import of_job, of_new_job
from duey.tasks.current import current_job, current_job_context

SUFFIX = ".on_failed"
Handler = Callable[[Job, Failure], Any]
TRACEBACK_MAX = 8 * 1024  # the whole of it stays with the failed job


def handler_of(huey: Any, task: str, on_failed: Any) -> Callable[..., Any]:
    """The function of the handler's own task: it is told in plain values what failed, and calls `on_failed`."""
    call: Handler = getattr(on_failed, "func", on_failed)  # it may be a task itself

    def run(job: dict[str, Any], error: dict[str, Any]) -> Any:
        args, kwargs = arguments_of(huey, job["id"])
        return call(Job(**job, args=args, kwargs=kwargs), Failure(**error))

    run.__doc__ = f"Runs when a job of {task} has failed for good."
    return run


def arguments_of(huey: Any, job_id: str) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the failed job for which the running one was made; they stay where they are. Empty when it was
    removed meanwhile. Raises InternalTask where the running job was not made for the failure of this one."""
    here = current_job()
    own = huey.storage.look(here.id) if here else None
    if own is None or own.parent != job_id or not own.task.endswith(SUFFIX):
        raise errors.InternalTask(own.task if own else SUFFIX[1:])
    stored = huey.storage.look(job_id)
    if stored is None:
        return [], {}
    if stored.task + SUFFIX != own.task:
        raise errors.InternalTask(own.task)
    body = current_job_context()
    assert body is not None
    body.mask = body.mask.joined(huey.composer.shown_call(stored)[2])
    message = huey.serializer.deserialize(stored.payload, of_job(stored))
    return list(message.args), dict(message.kwargs)


def add_handler(settlement: Settlement, serialize: Callable[..., bytes]) -> None:
    """Let the handler's job be accepted with this settlement, which ends its job as failed."""
    job = handler_job(settlement, serialize)
    settlement.next_jobs = [*(settlement.next_jobs or ()), job]


def handler_job(settlement: Settlement, serialize: Callable[..., bytes]) -> NewJob:
    """The job that tells a handler what failed, and how."""
    claim = settlement.claim
    said = json.loads(settlement.detail or "{}")
    told = {
        "id": claim.id, "task": claim.task.rpartition(".")[2], "qualname": claim.task, "queue": claim.queue,
        "state": FAILED, "priority": claim.priority, "attempt": claim.attempt + (settlement.started_at is not None),
        "retries_left": settlement.retries, "deliveries": claim.deliveries, "enqueued_at": claim.enqueued_at,
        "eta": claim.eta, "started_at": settlement.started_at, "finished_at": settlement.finished_at,
        "context": json.loads(claim.context) if claim.context else {}, "by": claim.by,
    }  # fmt: skip
    error = {
        "type": str(said.get("type", "")), "message": str(said.get("message", "")),
        "traceback": str(said.get("traceback", ""))[-TRACEBACK_MAX:],
    }  # fmt: skip
    job_id, task = str(uuid.uuid4()), claim.task + SUFFIX
    message = Message(job_id, task, None, 0, 0, None, (told, error), {})
    return NewJob(
        id=job_id, task=task, queue=claim.queue, priority=claim.priority, enqueued_at=clock.now(), eta=None,
        expires_at=None, retries=0, retry_delay_s=0.0, timeout_s=None, flags=0, unique_key=None, parent=claim.id,
        chord=None, context=claim.context, by=claim.by,
        payload=serialize(message, use=of_new_job(job_id, task, claim.context, None)),
    )  # fmt: skip
