"""What claiming, settling and deferring cost in a queue of some size: `python -m bench.probes.cost WAITING SCHEDULED`.

The storage is called as a worker calls it, without bodies, so that only the queue's own work is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time

from bench.figures import median
from bench.systems.duey import huey, noop
from duey.execution import registration
from duey.model.job import DONE, Claim
from duey.model.outcome import Outcome

BATCH = 64
TURNS = 150
DEFERS = 400


def grow(waiting: int, scheduled: int) -> float:
    """Fill the queue; seconds that it took."""
    began = time.perf_counter()
    far = 1e6  # seconds from now
    for count, delay in ((waiting, None), (scheduled, far)):
        for first in range(0, count, 1000):
            n = min(1000, count - first)
            huey.enqueue_jobs([noop.s(i) if delay is None else noop.s(i, delay=delay + i) for i in range(n)])
    return time.perf_counter() - began


def claim_us(n: int) -> float:
    """Claiming and settling, microseconds a job (median turn)."""
    huey.enqueue_jobs([noop.s(i) for i in range(1000)])
    result = huey.serializer.serialize(1)
    outcomes: list[Outcome] = []
    taken = []
    for _ in range(TURNS):
        if len(taken) % 15 == 0:
            huey.enqueue_jobs([noop.s(i) for i in range(1000)])
        began = time.perf_counter()
        turn = huey.storage.settle_and_claim(n, outcomes, BATCH, ("*",))
        taken.append((time.perf_counter() - began) / BATCH)
        outcomes = [done(claim, result) for claim in turn.claims]
    huey.storage.settle_and_claim(n, outcomes, 0, ())
    return median(taken) * 1e6


def done(claim: Claim, result: bytes) -> Outcome:
    return Outcome(claim, DONE, time.time(), time.time(), result)


def defer_us() -> float:
    """One synced defer, microseconds (median)."""
    taken = []
    for i in range(DEFERS):
        began = time.perf_counter()
        noop(i)
        taken.append(time.perf_counter() - began)
    return median(taken) * 1e6


def batch_us() -> float:
    """Deferring in batches of 1,000, microseconds a job (median batch)."""
    taken = []
    for _ in range(8):
        began = time.perf_counter()
        huey.enqueue_jobs([noop.s(i) for i in range(1000)])
        taken.append((time.perf_counter() - began) / 1000)
    return median(taken) * 1e6


def rss_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(waiting: int, scheduled: int) -> None:
    huey.storage.prepare()
    grown_s = grow(waiting, scheduled)
    presence = registration.register(huey.storage, "bench", 1, "thread", ("*",), [])
    before = rss_mb()
    answer = {"claim_us": claim_us(presence.n), "defer_us": defer_us(), "batch_us": batch_us(), "grown_s": grown_s}
    answer |= {"rss_before_mb": before, "rss_after_mb": rss_mb()}
    huey.storage.unregister(presence.n)
    presence.close()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
