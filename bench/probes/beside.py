"""Single enqueues of Duey and of plain Huey in one process, in turns: both see the same minute of the machine.

Argument: how many turns. Prints what an enqueue took in each turn, on the clock and of the processor, in seconds.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module

from bench.systems import REDIS_URL, System

TURN = 100  # enqueues of the one before the other has its turn
Times = tuple[float, float]  # on the clock, of the processor


def taken(system: System) -> Times:
    began, used = time.perf_counter(), time.thread_time()
    system.single(TURN)
    return (time.perf_counter() - began) / TURN, (time.thread_time() - used) / TURN


def main(turns: int) -> None:
    backend = "redis" if REDIS_URL else "sqlite"
    systems: list[System] = [import_module(f"bench.systems.{name}_{backend}").SYSTEM for name in ("duey", "huey")]
    for system in systems:
        system.prepare()
        taken(system)
    found: list[list[Times]] = [[], []]
    for turn in range(turns):
        for which in (0, 1) if turn % 2 else (1, 0):
            found[which].append(taken(systems[which]))
    print(json.dumps({"duey": found[0], "huey": found[1]}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
