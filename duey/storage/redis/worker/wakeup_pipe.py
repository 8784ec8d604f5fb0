"""How a worker sleeps on Redis: it waits at its list, and claims in the same breath.

Behind BLPOP it sends its next claim. Redis keeps that while it waits, and executes it as soon as the worker is woken or
the time is over. So there is no round trip between the wake-up and the claim, and no thread in between. A wake-up by
the local pipe ends the wait: the connection is closed, and the claim is treated like a turn whose answer was lost
(duey.storage.redis.worker.session).
"""

from __future__ import annotations

import math
import os
import select
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from duey import errors
from duey.storage.redis.connection.client import BLOCK_S, Server
from duey.storage.redis.connection.pending import Pending
from duey.storage.redis.connection.resp import command_of
from duey.storage.redis.connection.scripts import script
from duey.storage.wakeup import WakeupPipe

LATER_S = 1.0  # how much later than Redis a sleeper stops waiting


class Early(NamedTuple):
    """The claim of a sleeper: the epoch in which it was sent, and its answer; None if that is lost."""

    epoch: int
    answer: Any = None


class RedisWakeup(WakeupPipe):
    """The pipe of a worker, and its list `key` in Redis."""

    def __init__(self, path: Path, server: Server, key: str, is_asleep: Callable[[], bool]) -> None:
        super().__init__(path)
        self._server, self._key, self._is_asleep = server, key, is_asleep
        self._planned: tuple[int, bytes] | None = None
        self._early: Early | None = None

    def plan(self, epoch: int, name: str, *arguments: Any) -> None:
        """Run this script at the end of the next wait."""
        self._planned = epoch, command_of((b"EVALSHA", script(name).sha, 1, self._server.prefix, *arguments))

    def take(self) -> Early | None:
        """What came of the claim of the last wait, once."""
        early, self._early = self._early, None
        return early

    def wait(self, timeout_s: float) -> bool:
        if timeout_s <= 0 or not self._is_asleep():
            return super().wait(timeout_s)
        (epoch, claim), self._planned = self._planned or (0, b""), None
        timeout_s = min(timeout_s, BLOCK_S)
        fractions = self._server.opened.version >= (6,)
        block = command_of((b"BLPOP", self._key, max(0.01, timeout_s) if fractions else math.ceil(timeout_s)))
        try:
            pending = Pending(self._server, [block, claim] if claim else [block])
        except errors.StorageUnavailable:
            return super().wait(timeout_s)
        early = Early(epoch) if claim else None
        try:
            is_answered, woken = self._first(pending.fd, timeout_s + (LATER_S if fractions else 0.0))
            if not is_answered:
                pending.drop()
                return woken
            with suppress(errors.StorageUnavailable):
                entry, *answers = pending.read()
                woken = woken or isinstance(entry, list)
                if answers and isinstance(answers[0], list):
                    early = Early(epoch, answers[0])
                    woken = woken or len(answers[0]) > 1  # the first is its header
            return woken
        finally:
            self._early = early  # not before: another thread may settle in the meantime

    def _first(self, fd: int, timeout_s: float) -> tuple[bool, bool]:
        """Whether there is an answer, and whether this pipe was written to, once one of both is so."""
        poll = select.poll()
        for each in (fd, self._fd):
            poll.register(each, select.POLLIN)
        ready = [each for each, _ in poll.poll(timeout_s * 1000)]
        if self._fd in ready:
            with suppress(BlockingIOError):
                os.read(self._fd, 65536)
        return fd in ready, self._fd in ready
