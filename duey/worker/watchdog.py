"""What a consumer's parent kills a worker process for: a body past its timeout, or one that was canceled and goes on.

The process is the means: a body in C code, or one that catches everything, cannot be ended otherwise. Both look at what
the worker runs just before the kill, and reaping the worker ends (or retries) the job.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from duey.storage.contract import JobStorage
from duey.worker.process import WorkerSpec

CANCEL_GRACE_S = 10.0  # from when a body was asked to stop
TIMEOUT_GRACE_S = 0.75  # the alarm in the process comes first


@dataclass
class WorkerProcess:
    """A forked worker process, as its parent sees it."""

    spec: WorkerSpec
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
        return bool(self.pid and self.number and self.spec.in_main)


def past_timeout(storage: JobStorage, child: WorkerProcess) -> list[int]:
    """The tokens of the bodies in this process that ran past their timeout."""
    if child.spec.kind != "process":
        return []
    return [
        slot.token
        for slot in storage.slots(child.number)
        if slot.deadline and time.time() > slot.deadline + TIMEOUT_GRACE_S
    ]


def deaf_to_cancel(storage: JobStorage, children: Iterable[WorkerProcess]) -> Sequence[WorkerProcess]:
    """The worker processes whose body was asked to stop CANCEL_GRACE_S ago and still runs."""
    alive = [child for child in children if child.may_be_killed]
    stopping = storage.stopping([child.number for child in alive]) if alive else set()
    now = time.monotonic()
    found = []
    for child in alive:
        child.asked = {token: child.asked.get(token, now) for token in stopping if token >> 32 == child.number}
        overdue = {token for token, since in child.asked.items() if now > since + CANCEL_GRACE_S}
        if overdue and any(slot.token in overdue for slot in storage.slots(child.number)):
            found.append(child)
    return found
