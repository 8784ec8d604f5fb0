"""Latency: from the moment that a job is deferred to the start of its body, at a steady 50 jobs a second.

The instant of the defer travels as the job's argument, so the cost of the defer itself (with Duey a synced commit) is
part of it. Then jobs that are due at an instant: how late they begin.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.body import delays
from bench.figures import median, ms, percentile
from bench.machine import sync_us
from bench.options import Options
from bench.parts.drain import describe_all
from bench.report import Section
from bench.running import NOT_MEASURED, Running, running, wait

RATE_PER_S = 50.0
WITH_DUE = ("duey_sqlite", "huey_sqlite")
# Measured with --quick, and in each round: what a machine that is shared makes of a millisecond changes by the minute.
QUICK = ("duey_sqlite", "duey_redis", "huey_sqlite", "huey_redis")
DUE_JOBS = 30
SETTLE_S = 1.0  # a consumer that has just started


def measure(options: Options) -> Section:
    section = Section("latency", "Latency")
    known, missing = describe_all(options)
    steady: dict[str, list[list[float]]] = {}
    due: dict[str, list[float]] = {}
    floor: list[list[float]] = []
    seconds = options.pick(3, 6)
    for number in range(options.rounds):
        for name, about in known.items():
            if (options.quick or number) and name not in QUICK:
                continue
            workers, kind = about["modes"][0]
            options.tell(f"latency {number + 1}: {about['title']}, {workers} {kind}")
            try:
                with running(name) as system:
                    steady.setdefault(name, []).append(at_a_pace(system, workers, kind, seconds))
                    if name == "duey_sqlite":
                        floor.append(system.run("bench.probes.floor", str(RATE_PER_S), str(seconds)))
                if name in WITH_DUE and number == 0:
                    with running(name) as system:
                        due[name] = when_due(system, workers, kind, options.pick(2, 5))
            except NOT_MEASURED as exc:
                missing[name] = str(exc)
                options.tell(f"    failed: {exc}")
    rows = []
    for name, runs in sorted(steady.items(), key=lambda item: median([percentile(r, 50) for r in item[1]])):
        late = due.get(name)
        rows.append(
            (
                known[name]["title"], "{} {}".format(*known[name]["modes"][0]), of(runs, 50), of(runs, 99),
                of(runs, 100), ms(max(late)) if late else "-",
            )
        )  # fmt: skip
    section.table(("system", "workers", "p50 ms", "p99 ms", "worst ms", "due jobs, worst lateness ms"), rows)
    if missing:
        section.say("Not measured: " + "; ".join(f"{name}: {why}" for name, why in missing.items()))
    section.say(f"One synced append of 4 KB took {sync_us():.0f} µs in the same minute, one after the other.")
    ours = steady.get("duey_sqlite")
    if ours:
        section.say(
            f"At this pace each finds processor and disk asleep: two bare processes take {of(floor, 50)} ms (p99 "
            f"{of(floor, 99)} ms) for one to append 20 KB, sync it, and wake the other, which does nothing: the "
            "floor of a synced defer, measured after each run of Duey."
        )
        p50, p99 = (median([percentile(r, p) for r in ours]) for p in (50, 99))
        section.reach.append(("Duey on SQLite at 50 jobs/s, p50", "< 1 ms", f"{ms(p50)} ms", p50 < 0.001))
        section.reach.append(("Duey on SQLite at 50 jobs/s, p99", "< 3 ms", f"{ms(p99)} ms", p99 < 0.003))
    if "duey_sqlite" in due:
        worst = max(due["duey_sqlite"])
        section.reach.append(("due jobs on SQLite, worst lateness", "< 50 ms", f"{ms(worst)} ms", worst < 0.05))
    return section


def of(runs: Sequence[Sequence[float]], percent: float) -> str:
    return ms(median([percentile(run, percent) for run in runs]))


def at_a_pace(system: Running, workers: int, kind: str, seconds: float) -> list[float]:
    """The delays of a steady stream; the first job, which opens connections, is left out."""
    with system.consumer(workers, kind):
        time.sleep(SETTLE_S)
        system.call("pace", RATE_PER_S, seconds)
        wanted = int(RATE_PER_S * seconds) + 1
        return wait(lambda: arrived(system, wanted), 20, f"{wanted} jobs to begin ({system.said()})")[1:]


def when_due(system: Running, workers: int, kind: str, seconds: float) -> list[float]:
    """How late jobs begin that are due at an instant."""
    with system.consumer(workers, kind):
        time.sleep(SETTLE_S)
        system.call("later", DUE_JOBS, seconds)
        return wait(lambda: arrived(system, DUE_JOBS), seconds + 20, f"{DUE_JOBS} due jobs to begin ({system.said()})")


def arrived(system: Running, wanted: int) -> list[float]:
    found = delays(system.folder)
    return found if len(found) >= wanted else []
