"""Registers this process as a worker."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import Any

from duey.storage.contract import JobStorage
from duey.storage.presence import HOST
from duey.storage.values import ALONE, Registration
from duey.tasks import discovery


def register(
    storage: JobStorage, consumer: str, threads: int, kind: str, queues: Sequence[str], tasks: Sequence[str]
) -> Any:
    """Register this process and return its presence. Locks that it takes from now on belong to this worker."""
    code = discovery.code()
    presence = storage.register(
        Registration(consumer, HOST, os.getpid(), threads, kind, tuple(queues), tuple(tasks), code)
    )
    storage.holder = presence.n
    return presence


def take_over_pauses(huey: Any) -> None:
    """Pause each task that was paused under a former name. To resume it resumes all its names."""
    paused = huey.storage.pauses() if huey.renamed else set()
    for former, present in huey.renamed.former().items():
        if ("task", former) in paused and ("task", present) not in paused:
            huey.storage.pause("task", present)


def register_alone(storage: JobStorage) -> Any:
    """Register a process that runs jobs outside of any consumer (a shell, a test)."""
    return register(storage, uuid.uuid4().hex, 1, ALONE, ("*",), ())
