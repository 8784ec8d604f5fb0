"""What a consumer's parent kills a worker process for: a body past its timeout, or one that was canceled and goes on.

The process is the means: a body in C code, or one that catches everything, cannot be ended otherwise. Both look at what
the worker runs just before the kill, and burying the worker ends (or retries) the job.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from duey.storage.contract import JobStorage
from duey.worker.process import Plan

CANCEL_GRACE_S = 10.0  # from when a body was asked to stop
TIMEOUT_GRACE_S = 0.75  # the alarm in the process comes first


@dataclass
class Unit:
    """A forked worker process, as its parent sees it."""

    plan: Plan
    pid: int = 0
    pipe: int = -1
    number: int = 0
    started_at: float = 0.0
    deaths: int = 0
    respawn_at: float = 0.0
    timed_out: set[int] = field(default_factory=set)
    asked: dict[int, float] = field(default_factory=dict)  # tokens asked to stop, since when that was seen (monotonic)
    killed_at: float = 0.0  # monotonic: since when it is seen to have been killed, by somebody else
    killed: bool = False  # by us, for a cancel or at the end of the shutdown: its jobs are not charged
    leaving_since: float | None = None  # monotonic: it takes no more jobs, and another is started in its place
    left: bool = False  # it ended cleanly

    def words(self) -> list[str]:
        """What it has reported since the last look."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.pipe, 4096)
            if not data:
                self.close()
        return data.decode().split()

    def close(self) -> None:
        """Read no more of it."""
        os.close(self.pipe)
        self.pipe = -1

    @property
    def may_be_killed(self) -> bool:
        """Whether it runs one body, so that no other job suffers."""
        return bool(self.pid and self.number and self.plan.in_main)


def past_timeout(storage: JobStorage, unit: Unit) -> list[int]:
    """The tokens of the bodies in this unit that ran past their timeout."""
    if unit.plan.kind != "process":
        return []
    return [
        slot.token
        for slot in storage.slots(unit.number)
        if slot.deadline and time.time() > slot.deadline + TIMEOUT_GRACE_S
    ]


def deaf_to_cancel(storage: JobStorage, units: Iterable[Unit]) -> Sequence[Unit]:
    """The units whose body was asked to stop CANCEL_GRACE_S ago and still runs."""
    alive = [unit for unit in units if unit.may_be_killed]
    stopping = storage.stopping([unit.number for unit in alive]) if alive else set()
    now = time.monotonic()
    found = []
    for unit in alive:
        unit.asked = {token: unit.asked.get(token, now) for token in stopping if token >> 32 == unit.number}
        overdue = {token for token, since in unit.asked.items() if now > since + CANCEL_GRACE_S}
        if overdue and any(slot.token in overdue for slot in storage.slots(unit.number)):
            found.append(unit)
    return found
