"""What masking costs a drain in which nothing fails: `python -m bench.probes.masking JOBS`.

One process and one worker thread run jobs with hidden arguments, a few with masking and a few without it by turns, so
that both see the same machine. Answers the processor time of the worker thread in microseconds a job, for each turn,
by what the body returns.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import nullcontext
from unittest import mock

from bench.systems.duey import BATCH, RETURNED, huey, sign_in
from duey.execution.registration import register
from duey.worker.prefetcher import Prefetcher

SECRETS = {"password": "correct horse battery", "api_key": "k-1234567890"}
TURN = 20
# In place of the two steps that mask the result of a job; everything else that masks needs a log line or a failure.
OFF = {"fragments_before": lambda *_: None, "mask_result": lambda *_: None}


def drain(jobs: int, returned: str) -> dict[str, list[float]]:
    for first in range(0, jobs, BATCH):
        last = min(jobs, first + BATCH)
        huey.enqueue_jobs([sign_in.s(f"user {i}", **SECRETS, returned=returned) for i in range(first, last)])
    presence = register(huey.storage, "bench", 1, "thread", ("*",), [])
    prefetcher = huey.prefetcher = Prefetcher(huey.storage, presence, ("*",))
    found: dict[str, list[float]] = {"masked": [], "unmasked": []}

    def work() -> None:
        for number in range(jobs // TURN):
            name = "masked" if number % 2 else "unmasked"
            with nullcontext() if name == "masked" else mock.patch.multiple(huey.composer, **OFF):
                began = time.thread_time()
                for _ in range(TURN):
                    task = None
                    while task is None:
                        task = huey.dequeue()
                    huey.execute(task)
                found[name].append((time.thread_time() - began) / TURN * 1e6)

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
