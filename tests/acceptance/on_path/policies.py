"""Tasks with limits and unique keys, for tests.acceptance.test_limits; the bodies write to the ledger."""

from __future__ import annotations

import time

from workload import write

from engine import huey

PLACES = 3


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
