"""The turn of a poison suspect: while it begins, no other worker process of its consumer begins a job.

A job that kills the whole consumer takes with it what its siblings run. So a job whose consumer has died twice with it
begins while nothing else runs in the consumer, and nothing else begins in its first second. During its turn, which
doubles with each of these deaths, no other such job begins: so two of them do not die of each other again and again.

The worker processes share a few bytes that their supervisor has made before it forked them: the process whose turn it
is, until when, and until when nothing else begins (monotonic). All of it ends by itself if that process dies. Two
processes that take a free turn at the same moment write over each other, and look again before they use it.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

from duey.storage import presence

STATE = struct.Struct("<qddB")  # pid, end of the turn, end of the quiet, whether anybody has it
TAKEN_AT = 24
WAITING_S = 0.5  # how long the quiet lasts unless the waiting process says so again
ALONE_S = 1.0  # how long nothing else begins; a job that kills its worker usually does so soon
MOST_S = 600.0  # longest turn


class SuspectTurn:
    """One for each consumer."""

    def __init__(self) -> None:
        self._state = mmap.mmap(-1, STATE.size)
        self._taken_at = 0.0

    def _read(self) -> tuple[int, float, float]:
        pid, ends_at, quiet_until, _ = STATE.unpack_from(self._state)
        return pid, ends_at, quiet_until

    def _write(self, ends_at: float, quiet_until: float) -> None:
        STATE.pack_into(self._state, 0, os.getpid(), ends_at, quiet_until, 1)

    def take(self) -> float | None:
        """Since when (monotonic) it is this process's turn to begin a suspect; None if it is not. Call it again and
        again until the suspect begins."""
        (pid, ends_at, _), now, own = self._read(), time.monotonic(), os.getpid()
        if pid not in (0, own) and now < ends_at and is_running(pid):
            return None
        self._write(now + WAITING_S, now + WAITING_S)
        if pid != own:
            self._taken_at = now
            return None  # at the next call another process may have written over it
        return self._taken_at

    def begin(self, tree_deaths: int) -> float:
        """The suspect begins. Returns until when no other one begins (monotonic)."""
        now = time.monotonic()
        ends_at = now + min(MOST_S, ALONE_S * 2.0 ** min(tree_deaths - 2, 10))
        self._write(ends_at, now + ALONE_S)
        return ends_at

    def end(self) -> None:
        """The suspect of this process has ended."""
        if self._read()[0] == os.getpid():
            STATE.pack_into(self._state, 0, 0, 0.0, 0.0, 0)

    def holds_up(self) -> bool:
        """Whether nothing may begin in this process now because of another one's turn."""
        if not self._state[TAKEN_AT]:  # as mostly
            return False
        pid, _, quiet_until = self._read()
        return pid != os.getpid() and time.monotonic() < quiet_until


def is_running(pid: int) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def siblings_are_idle(folder: Path, own: int) -> bool:
    """Whether no other worker process of this consumer handles a job. `own`: number of this one."""
    for n in presence.numbers(folder):
        if n == own:
            continue
        try:
            data = presence.lock_file(folder, n).read_bytes()
            *_, parent = presence.HEADER.unpack_from(data)
        except (OSError, struct.error):
            continue  # it has ended meanwhile
        if parent == os.getppid() and presence.read_slots(data):
            return False
    return True
