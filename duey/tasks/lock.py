"""The lock that `huey.lock_task` returns: Huey's, freed also if a time-out strikes the body that holds it."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from typing import Any

from huey.api import TaskLock
from huey.exceptions import TaskLockedException

from duey.tasks.current import current_job_context
from duey.tasks.typed import P, R


class Holder(threading.local):
    """How a thread holds a lock: the process and the token."""

    pid = 0
    token = ""


class Lock(TaskLock):
    """Huey's lock, registered with the body that holds it: if a time-out strikes while the body frees it, it is freed
    when the body has ended. A process that a body forks does not hold the lock."""

    def __init__(self, huey: Any, name: str, ttl: float | None = None) -> None:
        super().__init__(huey, name, ttl)
        self._own = Holder()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Use the lock as a decorator."""
        return super().__call__(function)

    def __enter__(self) -> Lock:
        self.acquire()
        if (job_context := current_job_context()) is not None:
            job_context.locks.append(self)
        return self

    def acquire(self) -> Any:
        token = uuid.uuid4().hex
        if not self._huey.put_if_empty(self._key, token, self._ttl):
            locked = TaskLockedException(f"unable to acquire lock {self._name}")
            locked.lock = self._name  # the reason why the job waits
            raise locked
        self._own.pid, self._own.token = os.getpid(), token
        return True

    def deactivate(self) -> None:
        """Free the lock, unless another one holds it: the parent of this process, or whoever took it after it
        expired."""
        if self._own.pid != os.getpid():
            return
        if self._ttl is None or self._huey.get(self._key, peek=True) == self._own.token:
            self.release()

    def __exit__(self, *exc_info: Any) -> None:
        self.deactivate()
        job_context = current_job_context()
        if job_context is not None and self in job_context.locks:
            job_context.locks.remove(self)
