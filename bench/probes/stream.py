"""A steady stream of no-ops in small batches, and how far the recorder is behind: RATE SECONDS."""

from __future__ import annotations

import json
import sqlite3
import sys
import time

from bench.probes.backlog import backlog
from bench.systems.duey import huey, noop

BATCHES_PER_S = 50
PATIENCE_S = 60.0


def main(rate: int, seconds: float) -> None:
    con = sqlite3.connect(huey.storage.db.path)
    count, size = int(BATCHES_PER_S * seconds), rate // BATCHES_PER_S
    worst = 0
    began = time.monotonic()
    for i in range(count):
        time.sleep(max(0.0, began + i / BATCHES_PER_S - time.monotonic()))
        huey.enqueue_jobs([noop.s(i) for _ in range(size)])
        if i % BATCHES_PER_S == BATCHES_PER_S - 1:
            worst = max(worst, backlog(con))
    ended = time.monotonic()
    behind = waiting = backlog(con)
    while behind and time.monotonic() < ended + PATIENCE_S:
        time.sleep(0.05)
        behind = backlog(con)
    answer = {"rate_per_s": count * size / (ended - began), "backlog": waiting, "worst_backlog": worst}
    print(json.dumps(answer | {"catch_up_s": time.monotonic() - ended}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
