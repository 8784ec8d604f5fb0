"""Batching must not hurt: what the jobs that share a window with a long one feel of it.

One consumer of two processes, so that a job which is given back finds another worker; the acknowledgement of short jobs
is watched from outside while a long body runs.
"""

from __future__ import annotations

import time

from bench.figures import median, ms, percentile
from bench.options import Options
from bench.report import Section
from bench.running import running


def measure(options: Options) -> Section:
    section = Section("batching", "Batching must not hurt")
    options.tell("batching")
    with running("duey_sqlite") as system, system.consumer(2, "process"):
        time.sleep(1.0)
        found = system.run("bench.probes.batching", str(int(options.pick(3, 8)) or 1))
    rows = []
    for key, what in (
        ("acknowledged_s", "an acknowledgement becomes visible while the next body runs for 600 ms"),
        ("behind_s", "a job begins that was deferred right behind a body of 600 ms"),
        ("urgent_s", "a job of high priority begins among 1,000 of low priority, bodies of 1 ms, 2 workers"),
    ):
        values = found[key]
        rows.append((what, ms(median(values)), ms(percentile(values, 95)), ms(max(values)), str(len(values))))
    section.table(("how long until", "median ms", "p95 ms", "worst ms", "samples"), rows)
    seen, behind, urgent = (percentile(found[key], 95) for key in ("acknowledged_s", "behind_s", "urgent_s"))
    section.reach.append(("an acknowledgement is visible (p95)", "< 5 ms", f"{ms(seen)} ms", seen < 0.005))
    section.reach.append(("a job behind a slow one begins (p95)", "< 50 ms", f"{ms(behind)} ms", behind < 0.05))
    # Its own synced defer, the window that was taken before it (4 ms), and the body that runs.
    section.reach.append(("priority, within a batch window (p95)", "< 10 ms", f"{ms(urgent)} ms", urgent < 0.010))
    return section
