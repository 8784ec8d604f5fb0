"""A reader that looks at Duey as the monitor does, over and over: counts, queues, workers, a page of jobs."""

from __future__ import annotations

import json
import sys
import time

from bench.figures import percentile
from bench.systems.duey import huey
from duey.control.service import Control


def main(seconds: float) -> None:
    control = Control(huey)
    taken: list[float] = []
    errors: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        try:
            control.counts()
            control.queues()
            control.workers()
            control.jobs(limit=50)
        except Exception as exc:
            errors.append(f"{type(exc).__name__}: {exc}"[:120])
        taken.append(time.perf_counter() - began)
        time.sleep(0.1)
    print(json.dumps({"count": len(taken), "worst_s": max(taken), "p50_s": percentile(taken, 50), "errors": errors}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
