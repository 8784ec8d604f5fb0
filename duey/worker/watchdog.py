"""Decides which worker processes the supervisor kills: those of bodies past their time-out or with more memory than
their task may use, and of canceled bodies that go on.

A body that is in C code or catches every exception cannot be ended otherwise. What the worker runs is read just before
the kill. Releasing its claims then ends or retries the job.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from duey.storage.contract import Workers
from duey.storage.presence import IN_BODY, rss_of
from duey.worker.process import WorkerSpec

logger = logging.getLogger("duey.consumer")
CANCEL_GRACE_S = 10.0  # after a body was asked to stop
MB = 1024 * 1024
TIMEOUT_GRACE_S = 0.75  # after the deadline, so that the alarm in the process is first


@dataclass
class WorkerProcess:
    """A forked worker process, as the supervisor sees it."""

    spec: WorkerSpec
    pid: int = 0
    pipe: int = -1
    number: int = 0
    started_at: float = 0.0
    deaths: int = 0
    respawn_at: float = 0.0
    timed_out: set[int] = field(default_factory=set)
    stack: str = ""  # where the body stood that is killed at its time-out
    too_much: str = ""  # how much memory that body used, if it is killed for that
    recycled: bool = False  # it has too much memory, and another one takes its place
    asked: dict[int, float] = field(default_factory=dict)  # token of a job that was asked to stop -> when (monotonic)
    killed_at: float = 0.0  # monotonic: when it was noticed that another process has killed it
    killed: bool = False  # killed by the supervisor, for a cancel or a stop: its jobs are not charged
    leaving_since: float | None = None  # monotonic: it takes no more jobs, and another one is started in its place
    left: bool = False  # it ended cleanly

    def words(self) -> list[str]:
        """What it has reported since the last call."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.pipe, 4096)
            if not data:
                self.close()
        return data.decode().split()

    def close(self) -> None:
        """Close its pipe."""
        os.close(self.pipe)
        self.pipe = -1

    @property
    def may_be_killed(self) -> bool:
        """Whether it runs a single body, so that killing it harms no other job."""
        return bool(self.pid and self.number and self.spec.in_main)


def past_timeout(storage: Workers, child: WorkerProcess) -> list[int]:
    """The tokens of the bodies in this process that are past their time-out."""
    if child.spec.kind != "process":
        return []
    return [
        slot.token
        for slot in storage.slots(child.number)
        if slot.deadline and time.monotonic() > slot.deadline + TIMEOUT_GRACE_S
    ]


def memory_limits(tasks: Mapping[str, Any], kind: str) -> dict[str, int]:
    """The bytes that tasks may use, by full name, of those that say so. Logs that threads cannot be held to that."""
    found = {name: int(mb * MB) for name, task in tasks.items() if (mb := getattr(task, "max_memory_mb", None))}
    if found and kind != "process":
        logger.warning("max_memory_mb of %s needs process workers: nothing enforces it here", ", ".join(found))
        return {}
    return found


def over_memory(storage: Workers, child: WorkerProcess, limits: Mapping[str, int]) -> tuple[int, str] | None:
    """The token of the body in this process if it uses more memory than its task may, and how much it uses. For process
    workers only: of a body in a thread it cannot be told."""
    if not limits or not child.may_be_killed or child.spec.kind != "process":
        return None
    used = rss_of(child.pid) or 0
    if used <= min(limits.values()):
        return None
    tasks = [run.task for each in storage.worker_infos() if each.id == str(child.number) for run in each.running]
    tokens = [slot.token for slot in storage.slots(child.number) if slot.phase == IN_BODY]
    if len(tasks) != 1 or len(tokens) != 1 or used <= limits.get(tasks[0], used):
        return None
    return tokens[0], f"{used // MB} MB, more than its max_memory_mb of {limits[tasks[0]] // MB}"


def deaf_to_cancel(storage: Workers, children: Iterable[WorkerProcess]) -> Sequence[WorkerProcess]:
    """The worker processes whose body was asked to stop CANCEL_GRACE_S ago and is still running."""
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
