"""What hidden arguments cost a drain in which nothing fails: `python -m bench.probes.masking JOBS`.

One process and one worker thread run jobs with hidden arguments, and by turns jobs of the same shape whose parameters
hide nothing, so that both see the same machine. Answers the processor time of the worker thread in microseconds a job,
for each turn, by what the body returns.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from bench.systems.duey import RETURNED, hiding, huey, showing
from duey.execution.registration import register
from duey.worker.poison_suspects import PoisonSuspects
from duey.worker.prefetcher import Prefetcher
from duey.worker.suspect_turn import SuspectTurn

VALUES = ("correct horse battery", "k-1234567890")
TURN = 20
BATCH = 1000


def drain(jobs: int, returned: str) -> dict[str, list[float]]:
    for first in range(0, jobs, BATCH):
        last = min(jobs, first + BATCH)
        tasks = [hiding if number // TURN % 2 else showing for number in range(first, last)]
        huey.enqueue_jobs([task.s("a user", *VALUES, returned) for task in tasks])
    presence = register(huey.storage, "bench", 1, "thread", ("*",), [])
    prefetcher = huey.prefetcher = Prefetcher(huey.lifecycle, presence, ("*",), PoisonSuspects(3, SuspectTurn()))
    found: dict[str, list[float]] = {"masked": [], "unmasked": []}

    def work() -> None:
        for number in range(jobs // TURN):
            began = time.thread_time()
            for _ in range(TURN):
                task = None
                while task is None:
                    task = huey.dequeue()
                huey.execute(task)
            found["masked" if number % 2 else "unmasked"].append((time.thread_time() - began) / TURN * 1e6)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    prefetcher.stop()
    prefetcher.drain(time.monotonic() + 10)
    huey.prefetcher = None
    huey.storage.unregister(presence.n)
    presence.close()
    return found


def main(jobs: int) -> None:
    huey.storage.prepare()
    drain(1000, "a number")  # to warm up
    print(json.dumps({returned: drain(jobs, returned) for returned in RETURNED}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
