"""Group commit: what several threads commit at the same time is synced to the disk once."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from duey import errors


class PendingCommit:
    """The request of one caller, and its answer."""

    __slots__ = ("answer", "error", "request", "served")

    def __init__(self, request: Any) -> None:
        self.request = request
        self.answer: Any = None
        self.error: Exception | None = None
        self.served = False


class GroupCommit:
    """Combines the requests of several threads into one commit.

    The first thread commits its own request at once. Requests that arrive while it waits for the disk are collected,
    and the next thread commits all of them. Each caller gets its own answer, or its own error.
    """

    def __init__(self, commit: Callable[[Sequence[Any]], list[Any]]) -> None:
        self._commit = commit
        self._fresh()

    def _fresh(self) -> None:
        self._queue: deque[PendingCommit] = deque()
        self._commit_lock = threading.Lock()
        self._pid = os.getpid()

    def submit(self, request: Any) -> Any:
        """Commit one request, possibly together with others, and return its answer or raise its error."""
        if self._pid != os.getpid():  # forked: a thread of the parent may have held the lock at that moment
            self._fresh()
        pending = PendingCommit(request)
        self._queue.append(pending)
        with self._commit_lock:
            while not pending.served:
                # If the request is neither answered nor queued, a time-out interrupted the thread that had it.
                # Committing it again is harmless: a job is stored once.
                self._serve([self._queue.popleft() for _ in range(min(len(self._queue), 256))] or [pending])
        if pending.error:
            raise pending.error
        return pending.answer

    def _serve(self, batch: list[PendingCommit]) -> None:
        try:
            answers = self._commit([t.request for t in batch])
        except errors.DueyError as exc:
            answers = [exc] * len(batch)
        for pending, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                pending.error = answer
            else:
                pending.answer = answer
            pending.served = True
