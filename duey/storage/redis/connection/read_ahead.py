"""Several reads in one round trip: what a page asks is found out first, sent together, and answered from memory.

`reading` calls each read that it is given. Where one needs an answer, its command is noted, and the read is broken off.
The commands of all are sent at once, and then the reads are called again, until none needs more. In the block that
follows, the same reads find their answers. So a read may ask for what depends on an earlier answer: then it takes
another round trip, together with all others that do. Whatever was not announced is sent on its own, as outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from duey import errors

PASSES = 8  # a read whose command is another one each time would never be answered
Read = Callable[[], object]
Ask = Callable[[Sequence[bytes]], Sequence[Any]]


class Unanswered(BaseException):
    """Breaks off a read whose answer is not there yet. No Exception, so that no read takes it for an answer."""


class ReadAhead(threading.local):
    """The answers that a thread has read ahead, by command. `ask` sends commands and returns their answers. An error
    among them is raised where the answer is used."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.answers: dict[bytes, Any] | None = None  # None outside of a block
        self._missing: dict[bytes, None] | None = None  # in order; not None while reads are being found out

    @property
    def finding_out(self) -> bool:
        """Whether what is called now is called again."""
        return self._missing is not None

    def answer(self, command: bytes) -> Any:
        """The answer of a command that was read ahead. Raises KeyError for another one."""
        assert self.answers is not None
        if self._missing is not None and command not in self.answers:
            self._missing[command] = None
            raise Unanswered
        found = self.answers[command]
        if isinstance(found, errors.StorageUnavailable):
            raise found
        return found

    @contextmanager
    def reading(self, reads: Sequence[Read]) -> Iterator[None]:
        """Read ahead. Within another block its answers are used, and within another's pass nothing is sent."""
        if self._missing is not None:
            _call_all(reads)
            yield
            return
        before = self.answers
        self.answers = answers = {} if before is None else before
        try:
            for _ in range(PASSES):
                self._missing = {}
                try:
                    _call_all(reads)
                    missing = list(self._missing)
                finally:
                    self._missing = None
                if not missing:
                    break
                answers.update(zip(missing, self._ask(missing), strict=True))
            yield
        finally:
            self.answers = before


def _call_all(reads: Sequence[Read]) -> None:
    for read in reads:
        with suppress(Unanswered, Exception):  # an error is met again where the read is made
            read()
