"""Huey's storage interface, implemented on ours. It is the same for SQLite and Redis.

Huey reads results, takes locks, counts and revokes through a key/value store, which is `data`. Its queue sizes are our
counts. Where Huey polls for a result, we sleep until the job has ended.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from typing import Any, Protocol

from huey.storage import BaseStorage

from duey.model.job import Counts
from duey.tasks import current


class KeyValue(Protocol):
    """Huey's key/value store. Keys are str or UTF-8 bytes, values are bytes. A missing value is EmptyData."""

    def put(self, key: Any, value: bytes) -> None: ...
    def peek(self, key: Any) -> Any: ...
    def pop(self, key: Any) -> Any: ...
    def delete(self, key: Any) -> bool: ...
    def has(self, key: Any) -> bool: ...
    def put_if_empty(self, key: Any, value: bytes, ttl_s: float | None, worker: int | None) -> bool: ...
    def items(self) -> dict[str, bytes]: ...
    def size(self) -> int: ...
    def incr(self, key: Any, amount: int) -> int: ...
    def delete_counter(self, key: Any) -> None: ...


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
        self.data.put(key, value)

    def peek_data(self, key: Any) -> Any:
        return self.data.peek(key)

    def pop_data(self, key: Any) -> Any:
        return self.data.pop(key)

    def delete_data(self, key: Any) -> bool:
        return self.data.delete(key)

    def has_data_for_key(self, key: Any) -> bool:
        return self.data.has(key)

    def put_if_empty(self, key: Any, value: bytes, ttl: float | None = None) -> bool:
        return self.data.put_if_empty(key, value, ttl, self.holder)

    def incr(self, key: Any, amount: int = 1) -> int:
        return self.data.incr(key, amount)

    def delete_counter(self, key: Any) -> None:
        self.data.delete_counter(key)

    def result_store_size(self) -> int:
        return self.data.size()

    def result_items(self) -> dict[str, bytes]:
        return self.data.items()

    def wait_result(
        self, key: Any, timeout: float | None = None, backoff: float = 1.15, max_delay: float = 1.0
    ) -> bool:
        """Huey polls here. Waiting for the wake-up pipe answers sooner and costs nothing."""
        key = key.decode() if isinstance(key, bytes) else str(key)
        body = current.current_job_context()
        at_most_s = math.inf if body is None or body.deadline.struck else body.deadline.at - time.monotonic()
        ended = self.wait_ended(key, max(0.0, min(1e9 if timeout is None else timeout, at_most_s)))
        current.heed_timeout()  # the caller may be a body with a time-out
        return ended
