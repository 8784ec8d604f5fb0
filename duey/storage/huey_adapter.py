"""Huey's storage interface, implemented on ours. It is the same for SQLite and Redis.

Huey reads results, takes locks, counts and revokes through a key/value store, which is `data`. Its queue sizes are our
counts. Where Huey polls for a result, we sleep until the job has ended.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from typing import Any, Protocol

from huey.constants import EmptyData
from huey.storage import BaseStorage

from duey.model.job import Counts
from duey.tasks import current


def text(key: Any) -> str:
    """A key as str. Huey passes str or bytes."""
    return key.decode() if isinstance(key, bytes) else str(key)


def kind_of(key: str) -> str:
    """Where a key is stored: revocations are removed with their job."""
    return "revocations" if key.startswith(("r:", "rt:")) else "kv"


class KeyValue(Protocol):
    """The port of Huey's key/value store. Values are bytes. A missing one is EmptyData."""

    def put(self, key: str, value: bytes) -> None: ...
    def peek(self, key: str) -> Any:
        """The result of the job with this id, or the value under this key, or EmptyData."""

    def delete(self, key: str) -> bool: ...
    def put_if_empty(self, key: str, value: bytes, ttl_s: float | None, worker: int | None) -> bool:
        """Take a lock for `ttl_s` seconds (None: until it is freed). True if it was free or had expired. It belongs to
        `worker` and is freed when that worker ends."""

    def items(self) -> dict[str, bytes]: ...
    def size(self) -> int: ...
    def incr(self, key: str, amount: int) -> int: ...
    def delete_counter(self, key: str) -> None: ...

    def pop(self, key: str) -> Any:
        """Like peek, and remove the value. The result of a job stays until it expires."""
        value = self.peek(key)
        if value is not EmptyData:
            self.delete(key)
        return value

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        return self.peek(key) is not EmptyData


class HueyStorage(BaseStorage):
    """The part of a JobStorage that Huey's own code calls."""

    blocking = True
    priority = True
    data: KeyValue  # set by the subclass
    holder: int | None = None  # number of this process as a worker; owner of the locks that it takes

    @abstractmethod
    def counts(self) -> Counts:
        """How many jobs are in which state."""

    @abstractmethod
    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        """Wait until the job has ended, without polling. False if it has not ended within `timeout_s`."""

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        raise NotImplementedError("jobs are accepted whole: use huey.enqueue(task)")

    def queue_size(self) -> int:
        counts = self.counts()
        return counts.queued + counts.blocked

    def schedule_size(self) -> int:
        counts = self.counts()
        return counts.scheduled + counts.retrying

    def put_data(self, key: Any, value: bytes, is_result: bool = False) -> None:
        self.data.put(text(key), value)

    def peek_data(self, key: Any) -> Any:
        return self.data.peek(text(key))

    def pop_data(self, key: Any) -> Any:
        return self.data.pop(text(key))

    def delete_data(self, key: Any) -> bool:
        return self.data.delete(text(key))

    def has_data_for_key(self, key: Any) -> bool:
        return self.data.has(text(key))

    def put_if_empty(self, key: Any, value: bytes, ttl: float | None = None) -> bool:
        return self.data.put_if_empty(text(key), value, ttl, self.holder)

    def incr(self, key: Any, amount: int = 1) -> int:
        return self.data.incr(text(key), amount)

    def delete_counter(self, key: Any) -> None:
        self.data.delete_counter(text(key))

    def result_store_size(self) -> int:
        return self.data.size()

    def result_items(self) -> dict[str, bytes]:
        return self.data.items()

    def wait_result(
        self, key: Any, timeout: float | None = None, backoff: float = 1.15, max_delay: float = 1.0
    ) -> bool:
        """Huey polls here. Waiting for the wake-up pipe answers sooner and costs nothing."""
        body = current.current_job_context()
        at_most_s = math.inf if body is None or body.deadline.struck else body.deadline.at - time.monotonic()
        ended = self.wait_ended(text(key), max(0.0, min(1e9 if timeout is None else timeout, at_most_s)))
        current.heed_timeout()  # the caller may be a body with a time-out
        return ended
