"""Bodies that never end by themselves, each busy in another place where an alarm may not raise."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from duey import current_job, huey, progress

logger = logging.getLogger(__name__)


def logs() -> None:
    """As the hunt did: a line each millisecond."""
    logger.info("still here")
    time.sleep(0.001)


def logs_only() -> None:
    """Let the interpreter go in logging alone."""
    logger.info("still here")


def prints() -> None:
    """As above, where what is printed is kept."""
    print("still here")


def waits() -> None:
    threading.Event().wait(0.05)


def locks() -> None:
    with huey.lock_task(f"overdue {current_job().id}"):
        time.sleep(0.0002)


def tells() -> None:
    progress(1, 2)


def enqueues() -> None:
    huey.get("nothing", peek=True)
    no_op.schedule(delay=3600, id="overdue no_op")


def asks_for_a_result() -> None:
    huey.result("nothing", blocking=True)


HOW = {f.__name__: f for f in (logs, logs_only, prints, waits, locks, tells, enqueues, asks_for_a_result)}


@huey.task()
def no_op() -> None:
    """Nothing."""


@huey.task()
def endless(how: str) -> Any:
    """Go on for ever."""
    while True:
        HOW[how]()
