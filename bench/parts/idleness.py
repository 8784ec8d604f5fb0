"""Idleness: what a consumer costs while there is nothing to do, and how soon it wakes for a job after a while.

Several Dueys and one plain Huey idle at the same time, each in a place of its own, for a minute: nothing runs that
could disturb them. Then each is sent one job.
"""

from __future__ import annotations

import contextlib
import math
import time

from bench import processes
from bench.body import delays
from bench.figures import ms, percentile
from bench.options import Options
from bench.report import Section
from bench.running import NOT_MEASURED, Running, running, wait

SAMPLES = {"duey_sqlite": 8, "huey_sqlite": 2, "huey_redis": 2}
MORE = 10  # further jobs, a second or so apart


def measure(options: Options) -> Section:
    section = Section("idleness", "Idleness")
    idle_s = options.pick(8, 60)
    options.tell(f"idleness: {idle_s:.0f} s")
    with contextlib.ExitStack() as stack:
        placed: list[tuple[str, Running, int]] = []
        for name, samples in SAMPLES.items():
            for _ in range(samples if not options.quick else max(2, samples // 2)):
                with contextlib.suppress(*NOT_MEASURED):
                    system = stack.enter_context(running(name))
                    system.call("fill", 10)
                    placed.append((name, system, stack.enter_context(system.consumer(1, "thread")).pid))
        time.sleep(2.0)
        began, used = time.monotonic(), [processes.cpu_s(pid) for _, _, pid in placed]
        time.sleep(idle_s)
        seconds = time.monotonic() - began
        costs = [(processes.cpu_s(pid) - before) / seconds for (_, _, pid), before in zip(placed, used, strict=True)]
        first = [first_job(system) for _, system, _ in placed]
        more = again(placed[0][1], options) if placed else []
    rows = []
    for name in SAMPLES:
        mine = [i for i, (each, _, _) in enumerate(placed) if each == name]
        if mine:
            woke = [first[i] for i in mine]
            cost = sum(costs[i] for i in mine) / len(mine)
            rows.append((name, str(len(mine)), f"{cost:.2%}", ms(percentile(woke, 50)), ms(max(woke))))
    head = ("system (1 thread)", "consumers", "of a core, each", "first job after, median ms", "worst ms")
    section.table(head, rows)
    section.say(f"After {seconds:.0f} s. Duey again, {len(more)} jobs a second apart: worst {ms(max(more))} ms.")
    ours = [i for i, (each, _, _) in enumerate(placed) if each == "duey_sqlite"]
    cost = sum(costs[i] for i in ours) / len(ours)
    worst = max([first[i] for i in ours] + more)
    section.reach.append(("Duey on SQLite, a consumer that idles", "< 0.2% of a core", f"{cost:.2%}", cost < 0.002))
    section.reach.append(("Duey on SQLite, worst start after idleness", "< 10 ms", f"{ms(worst)} ms", worst < 0.010))
    return section


def first_job(system: Running) -> float:
    """Seconds from defer to body of one job, sent from a process that has just started; the defer itself counts.
    Infinite when it did not come."""
    try:
        system.call("wake")
        return wait(lambda: delays(system.folder), 30, f"a job to begin after idleness ({system.said()})")[0]
    except NOT_MEASURED as exc:
        Options.tell(f"    {system.name}: {exc}")
        return math.inf


def again(system: Running, options: Options) -> list[float]:
    count = 5 if options.quick else MORE
    system.call("pace", 0.9, count / 0.9)
    return wait(lambda: found if len(found := delays(system.folder)) >= count + 2 else [], 30, "jobs to begin")[2:]
