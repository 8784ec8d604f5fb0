"""A producer under contention: defers one by one for so many seconds; what each took, and what reached the caller.

python -m bench.probes.produce SYSTEM SECONDS PAUSE_S
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

from bench.figures import percentile


def main(name: str, seconds: float, pause_s: float) -> None:
    system = importlib.import_module(f"bench.systems.{name}").SYSTEM
    taken: list[float] = []
    errors: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        try:
            system.single(1)
        except Exception as exc:
            errors.append(f"{type(exc).__name__}: {exc}"[:120])
        taken.append(time.perf_counter() - began)
        if pause_s:
            time.sleep(pause_s)
    answer: dict[str, Any] = {
        "count": len(taken),
        "p50_s": percentile(taken, 50),
        "p99_s": percentile(taken, 99),
    }
    answer |= {"worst_s": max(taken), "errors": errors[:5], "error_count": len(errors)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
