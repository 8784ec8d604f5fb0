"""The task module of the acceptance tests: what a consumer of theirs can run, and its own record of what ran.

Every body writes to the ledger (tests.acceptance.ledger) before and after its work: one line, appended whole, so that
it survives the kill of its process. Where DUEY_TEST_DIE_AT names a step of the engine, the process that comes to it
first kills itself there (duey.faults); DUEY_TEST_SYNC_S makes the disk slow, DUEY_TEST_HASTE waits of alerts short,
DUEY_TEST_DUMP_S the wait for a stack longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import resource
import signal
import sys
import time
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from duey import Retry, canceled, current_job, faults, huey

LEDGER = os.environ["DUEY_TEST_LEDGER"]
MB = 1024 * 1024


def write(n: Any, what: str) -> None:
    """One line of the ledger. CLOCK_MONOTONIC is one clock for all processes of the machine. The file is opened each
    time: a body that closes all descriptors must not let another's line go into whatever has that number next."""
    fd = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{n} {os.getpid()} {what} {time.monotonic():.6f}\n".encode())
    finally:
        os.close(fd)


def die_once(step: str) -> None:
    """Die where the process comes to the chosen step for the chosen time, unless another process has done so."""
    chosen, _, time_ = os.environ["DUEY_TEST_DIE_AT"].partition("/")
    if step == chosen and next(passed) == int(time_ or 1):
        try:
            os.close(os.open(os.environ["DUEY_TEST_LEDGER"] + ".died", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def sync_slowly(step: str) -> None:
    """A disk that takes its time over each synced commit, with the write lock held."""
    if step == "enqueue.written":
        time.sleep(float(os.environ["DUEY_TEST_SYNC_S"]))


passed = itertools.count(1)
if "DUEY_TEST_DIE_AT" in os.environ:
    faults.point = die_once
if "DUEY_TEST_SYNC_S" in os.environ:
    faults.point = sync_slowly
if "DUEY_TEST_DUMP_S" in os.environ:  # a busy machine is slower
    from duey.execution.body import stacks

    stacks.DUMP_S = float(os.environ["DUEY_TEST_DUMP_S"])
if "DUEY_TEST_HASTE" in os.environ:  # of alerts: what is waited for in vain is not waited for that long
    from duey.alerts import drill, notifications, senders

    drill.LIMITS_S = dict.fromkeys(drill.LIMITS_S, 8.0)
    senders.TIMEOUT_S, senders.IDLE_S, notifications.BACK_OFF_S = 3.0, 1.0, (1.0, 60.0)


@huey.task()
def note(n: int, seconds: float = 0.0) -> int:
    """Work for so many seconds."""
    write(n, "begin")
    if seconds:
        time.sleep(seconds)
    write(n, "end")
    return n


@huey.task()
def chained(n: int) -> None:
    """Enqueue another job."""
    note(n)


@huey.task()
def odd(price: Decimal, day: date, free: Any = None, color: Literal["red", "blue"] = "red") -> None:
    """Take what is hard to type."""


@huey.task()
def loaded() -> list[str]:
    """Which libraries that only web and command line need are in this process."""
    return sorted({"pydantic", "pydantic_core", "bottle", "peewee"} & {name.partition(".")[0] for name in sys.modules})


@huey.task()
def say(n: int, seconds: float) -> None:
    """Talk for so many seconds, on both streams and through a logger, unless it is to stop."""
    write(n, "begin")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and not canceled():
        print(f"job {n} goes on", flush=True)
        print(f"job {n} goes on", file=sys.stderr, flush=True)
        logging.getLogger(__name__).info("job %s goes on", n)
        time.sleep(0.02)
    write(n, "end")


@huey.task()
def fail(n: int) -> None:
    """Fail."""
    write(n, "begin")
    write(n, "end")
    raise ValueError(f"job {n} was told to fail")


@huey.task(retries=5)
def flaky(n: int, failures: int) -> int:
    """Fail so many times, then succeed."""
    write(n, "begin")
    write(n, "end")
    if current_job().attempt < failures:
        raise OSError("not yet")
    return n


@huey.task()
def again(n: int, delay_s: float) -> int:
    """Ask once to be run again."""
    write(n, "begin")
    write(n, "end")
    if current_job().attempt == 0:
        raise Retry(delay_s)
    return n


@huey.task()
def stuck(n: int) -> None:
    """Wait in C for ever with the interpreter held: no other thread of this process runs, no signal handler either."""
    write(n, "begin")
    mutex = ctypes.create_string_buffer(64)  # all zeros is an open mutex
    c = ctypes.PyDLL(None)
    c.pthread_mutex_lock(mutex)
    c.pthread_mutex_lock(mutex)


@huey.task()
def hold(n: int, seconds: float) -> None:
    """Sleep in C with the interpreter held."""
    write(n, "begin")
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    write(n, "end")


@huey.task()
def busy(n: int, seconds: float) -> None:
    """Work step by step, and let through whatever interrupts."""
    write(n, "begin")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.02)
    write(n, "end")


@huey.task()
def deaf(n: int, seconds: float) -> None:
    """Catch whatever interrupts, and go on."""
    write(n, "begin")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with contextlib.suppress(Exception):
            time.sleep(0.02)
    write(n, "end")


@huey.task()
def poison(n: int, how: str) -> Any:
    """Do what takes a worker down, or would."""
    write(n, "begin")
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "out of memory":  # what the kernel does to the process that took too much
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "memory limit":
        return hungry()
    if how == "closed files":  # as a careless daemon does
        return os.closerange(3, 4096)
    if how == "SystemExit":
        raise SystemExit(3)
    if how == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if how == "CancelledError":
        raise asyncio.CancelledError
    if how == "GeneratorExit":
        raise GeneratorExit
    if how == "broken repr":
        raise Broken
    return object()  # "result": nothing can carry it


def hungry() -> int:
    """Ask for more memory than the process may have."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 200 * MB, before[1]))
    try:
        return len(bytes(1000 * MB))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Broken(Exception):
    """An exception that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


@huey.task(on_crash="fail")
def only_once(n: int, seconds: float) -> None:
    """Must not run twice."""
    write(n, "begin")
    time.sleep(seconds)
    write(n, "end")


@huey.task(on_crash="fail")
def deadly_once(n: int, after_s: float) -> None:
    """Kill the whole consumer, at once or so many seconds after the first line."""
    write(n, "begin")
    if after_s:
        time.sleep(after_s)
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


@huey.task()
def locked(n: int, lock: str, seconds: float) -> int:
    """Work under a lock that only one may hold."""
    with huey.lock_task(lock):
        write(n, "begin")
        time.sleep(seconds)
        write(n, "end")
    return n


@huey.task()
def step(n: int, x: int, seconds: float = 0.0) -> int:
    """A link of a pipeline, or a member of a chord."""
    write(f"{n}.{x}", "begin")
    time.sleep(seconds)
    write(f"{n}.{x}", "end")
    return x + 1


@huey.task()
def total(n: int, parts: list[int]) -> int:
    """The callback of a chord."""
    write(f"{n}.total", "begin")
    write(f"{n}.total", "end")
    return sum(parts)
