"""Group commit: what several threads ask for at the same time goes to the disk once."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from duey import errors


class Ticket:
    """One caller at the gate."""

    __slots__ = ("answer", "error", "request", "served")

    def __init__(self, request: Any) -> None:
        self.request = request
        self.answer: Any = None
        self.error: Exception | None = None
        self.served = False


class CommitGate:
    """Lets what several threads ask for at the same time through in one commit.

    The first thread in commits its own request at once; those that arrive while it waits for the disk are gathered,
    and the next of them commits for all. Each caller gets its own answer, or its own error.
    """

    def __init__(self, commit: Callable[[Sequence[Any]], list[Any]]) -> None:
        self._commit = commit
        self._fresh()

    def _fresh(self) -> None:
        self._queue: deque[Ticket] = deque()
        self._turnstile = threading.Lock()
        self._pid = os.getpid()

    def pass_through(self, request: Any) -> Any:
        """The answer to one request; raises what it was refused with."""
        if self._pid != os.getpid():  # a thread of the parent may have held the lock when this process was forked
            self._fresh()
        ticket = Ticket(request)
        self._queue.append(ticket)
        with self._turnstile:
            while not ticket.served:
                # A ticket that is neither served nor here was in the hands of a thread that an alarm interrupted. To
                # commit it once more is harmless: a job is stored once.
                self._serve([self._queue.popleft() for _ in range(min(len(self._queue), 256))] or [ticket])
        if ticket.error:
            raise ticket.error
        return ticket.answer

    def _serve(self, batch: list[Ticket]) -> None:
        try:
            answers = self._commit([t.request for t in batch])
        except errors.DueyError as exc:
            answers = [exc] * len(batch)
        for ticket, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                ticket.error = answer
            else:
                ticket.answer = answer
            ticket.served = True
