"""Tasks that fork, end their process, or need what only a worker process can have: threads, pools, an event loop."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

from workload import write

from duey import huey, on_worker_start

FORKING = multiprocessing.get_context("fork")
loop: asyncio.AbstractEventLoop


@on_worker_start
def run_loop() -> None:
    """The event loop of this worker process; one made at import would share its descriptors with those of others."""
    global loop
    write("start", "begin")
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="Loop", daemon=True).start()
    write("start", "end")


if "DUEY_TEST_THREAD_AT_IMPORT" in os.environ:
    threading.Thread(target=threading.Event().wait, name="Outbox", daemon=True).start()


@huey.task()
def ask_loop(n: int) -> int:
    """Work in the event loop."""
    return asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, n), loop).result(30)


@huey.task()
def end_process(n: int, code: int) -> None:
    """End the whole worker process, with this exit status."""
    write(n, "begin")
    os._exit(code)


@huey.task()
def signal_itself(n: int, signum: int) -> int:
    """Signal the own worker process."""
    write(n, "begin")
    os.kill(os.getpid(), signum)
    write(n, "end")
    return n


def square(n: int) -> int:
    return n * n


@huey.task()
def pool(n: int) -> list[int]:
    """Use pools as their documentation shows: on leaving one, its processes are terminated, some before they are up."""
    for _ in range(20):
        with FORKING.Pool(4) as workers:
            squares = workers.map(square, range(n))
    return squares


def sleep_once_up(up: Any) -> None:
    up.set()
    time.sleep(60)


@huey.task()
def terminate(n: int) -> list[int]:
    """End children by each signal that ends one by default; how each of them ended."""
    ended = []
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        up = FORKING.Event()
        child = FORKING.Process(target=sleep_once_up, args=(up,))
        child.start()
        up.wait(30)  # Python forgets a signal that comes before its child has begun, or amid some of its own work
        for _ in range(10):
            os.kill(child.pid, signum)
            child.join(3)
            if child.exitcode is not None:
                break
        ended.append(child.exitcode)
        child.kill()
    return ended


@huey.task()
def fork_and_return(n: int, how: str) -> int:
    """Both processes come back from here; the exit status of the child."""
    write(n, "begin")
    child = os.fork()
    if child == 0:
        if how == "raise":
            raise ValueError("in the child")
        if how == "exit":
            sys.exit(7)
        return n
    _, status = os.waitpid(child, 0)
    write(n, "end")
    return os.waitstatus_to_exitcode(status)


@huey.pre_execute()
def fork_before(task) -> None:
    """A hook from which both processes come back."""
    if task.name == "forked_before":
        os.fork()


@huey.post_execute()
def fork_after(task, value, exception) -> None:
    """Another one."""
    if task.name == "forked_after":
        os.fork()


@huey.on_startup()
def fork_at_startup() -> None:
    """And another one."""
    if "DUEY_TEST_FORK_AT_STARTUP" in os.environ:
        os.fork()


@huey.task()
def forked_after(n: int) -> int:
    """Runs and ends in one process."""
    write(n, "begin")
    write(n, "end")
    return n


@huey.task()
def forked_before(n: int) -> int:
    """Runs in one process, whatever the hook does."""
    write(n, "begin")
    write(n, "end")
    return n
