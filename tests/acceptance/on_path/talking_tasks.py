"""Tasks that log and print, and then wait for a file."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

from duey import huey

logger = logging.getLogger("talking")


def wait_for(gate: str) -> None:
    until = time.monotonic() + 60
    while not Path(gate).exists() and time.monotonic() < until:
        time.sleep(0.01)


@huey.task(capture_print=True)
def talks(lines: int, gate: str, password: str = "") -> None:
    for n in range(lines):
        logger.info("line %d", n)
    print("printed with", password, end="")
    print(" and more")
    with open(os.devnull, "w") as nowhere:
        print("silent", file=nowhere)
    wait_for(gate)
    logger.warning("after the gate")
    print("without an end", end="")


@huey.task(on_crash="fail")
def dies_talking(gate: str) -> None:
    logger.info("its last words")
    print("not captured")
    wait_for(gate)
    os.kill(os.getpid(), signal.SIGKILL)
