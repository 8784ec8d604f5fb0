"""Tasks with limits and unique keys, for tests.acceptance.test_limits; the bodies write to the ledger."""

from __future__ import annotations

import os
import time

from workload import write

from duey import huey, resume
from duey.worker import watchdog

PLACES = 3
watchdog.CANCEL_GRACE_S = float(os.environ.get("DUEY_TEST_CANCEL_GRACE_S", watchdog.CANCEL_GRACE_S))


@huey.task(limit=PLACES)
def narrow(n: str, seconds: float) -> None:
    """One of the few that run at once."""
    write(f"narrow.{n}", "begin")
    time.sleep(seconds)
    write(f"narrow.{n}", "end")


@huey.task(unique=True, unique_key=lambda key, n, seconds: key)
def single(key: str, n: str, seconds: float) -> None:
    """The only one of its key."""
    write(f"single.{key}.{n}", "begin")
    time.sleep(seconds)
    write(f"single.{key}.{n}", "end")


def told(job, error) -> None:
    """What runs when `doomed` has failed."""
    write(f"told.{job.args[0]}", "begin")
    write(f"told.{job.args[0]}", "end")


@huey.task(retries=1, on_failed=told)
def doomed(n: int) -> None:
    """Fails each time."""
    write(f"doomed.{n}", "begin")
    write(f"doomed.{n}", "end")
    raise ValueError(n)


@huey.task()
def load(n: str, rows: int, seconds: float) -> None:
    """A long import, row by row."""
    for row in resume(range(rows), every_s=0.1):
        write(f"load.{n}.{row}", "begin")
        time.sleep(seconds)
        write(f"load.{n}.{row}", "end")
