"""The task of the fire drill: it fails on purpose, so that alerts can be proven (duey.alerts.drill).

Each process that loads the task modules registers it. Only Duey itself enqueues its jobs.
"""

from __future__ import annotations

import uuid
from typing import Any

from huey.registry import Message

from duey import clock
from duey.model.job import JobRecord
from duey.payload.serializer import of_new_job
from duey.tasks.decorator import DurableTaskWrapper

TASK = "duey.fire_drill"
EXPIRES_S = 600.0  # no worker began it until then: the drill has failed long ago
FIRST = 1e9  # its priority


class FireDrill(Exception):
    """Raised on purpose."""


def fire_drill() -> None:
    """Fails on purpose, to prove that failures are told."""
    raise FireDrill("DRILL: this failure was asked for, nothing is wrong")


fire_drill.__module__ = TASK.rpartition(".")[0]


def register(huey: Any) -> None:
    """Register the task, once."""
    if TASK not in huey._registry._registry:
        DurableTaskWrapper(huey, fire_drill).task_class.internal = True


def new_job(huey: Any, queue: str, by: str | None) -> JobRecord:
    """A job of the task, which is the first one to run."""
    job_id, now = str(uuid.uuid4()), clock.now()
    return JobRecord(
        id=job_id, task=TASK, queue=queue, priority=FIRST, enqueued_at=now, eta=None, expires_at=now + EXPIRES_S,
        retries=0, retry_delay_s=0.0, timeout_s=None, flags=0, unique_key=None, parent=None, chord=None, context=None,
        by=by, payload=huey.serializer.serialize(
            Message(job_id, TASK, None, 0, 0, None, (), {}), use=of_new_job(job_id, TASK, None, None)
        ),
    )  # fmt: skip
