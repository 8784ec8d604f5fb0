"""Tasks that use memory and processor time."""

from __future__ import annotations

import os
import time

from duey import huey

MB = 1024 * 1024
kept: list[bytearray] = []


def take(megabytes: int) -> bytearray:
    """So much memory, each page of it touched."""
    return bytearray(os.urandom(4096) * (megabytes * MB // 4096))


@huey.task()
def uses(megabytes: int, seconds: float) -> int:
    """Work for so many seconds of processor time."""
    held, ends = take(megabytes), time.process_time() + seconds
    while time.process_time() < ends:
        sum(range(1000))
    return len(held)


@huey.task(max_memory_mb=200)
def grows() -> None:
    held = []
    while True:
        held.append(take(10))
        time.sleep(0.05)


@huey.task()
def leaks(megabytes: int) -> int:
    kept.append(take(megabytes))
    return os.getpid()


@huey.task()
def where() -> int:
    return os.getpid()
