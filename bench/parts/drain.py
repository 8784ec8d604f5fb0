"""Drain: how many no-ops a second a consumer gets through, from its first body to its last, results stored.

A run fills an empty queue, starts a consumer, and reads the marks that the bodies leave. Every round runs every system
in every mode once; the filling gives the bulk enqueue rates by the way.
"""

from __future__ import annotations

import subprocess
from functools import lru_cache
from typing import Any

from bench.body import tally
from bench.environments import NotInstalled
from bench.figures import median, ratios, spread, times, whole
from bench.options import Options
from bench.report import Section
from bench.running import NOT_MEASURED, Failed, Running, description, running, wait

SYSTEMS = (
    "duey_sqlite", "huey_sqlite", "huey_sqlite_stats", "duey_redis", "huey_redis", "celery", "rq", "dramatiq",
    "litequeue", "honker",
)  # fmt: skip
PEERS = ("celery", "rq", "dramatiq", "litequeue", "honker")
Rates = dict[tuple[str, tuple[int, str]], list[float]]


def measure(options: Options) -> Section:
    section = Section("drain", "Drain")
    known, missing = describe_all(options)
    rates: Rates = {}
    for number in range(options.rounds):
        for mode_number in range(3):
            for name, about in known.items():
                modes = modes_of(name, about, options)
                if mode_number < len(modes):
                    mode = modes[mode_number]
                    options.tell(f"drain {number + 1}/{options.rounds}: {about['title']}, {mode[0]} {mode[1]}")
                    one_run(name, mode, options.count(about["jobs"]), rates, missing, options)
    tabulate(section, known, missing, rates)
    reach(section, known, rates)
    return section


def modes_of(name: str, about: dict[str, Any], options: Options) -> list[tuple[int, str]]:
    """All modes of Duey and of what it is compared with in each; a peer's best one; the first one of Huey's stats."""
    modes = [(workers, kind) for workers, kind in about["modes"]]
    if name in PEERS:
        return modes[-1:]
    if name == "huey_sqlite_stats":
        return modes[:1]
    return [modes[0], modes[-1]] if options.quick and name.endswith("redis") else modes


def describe_all(options: Options) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What can be measured here, and why the rest cannot."""
    known, missing = describe_each(options.systems or SYSTEMS)
    return dict(known), dict(missing)


@lru_cache
def describe_each(names: tuple[str, ...]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    known, missing = {}, {}
    for name in names:
        try:
            known[name] = description(name)
        except NotInstalled as exc:
            missing[name] = str(exc)
            Options.tell(f"{name}: {exc}")
    return known, missing


def one_run(name: str, mode: Any, jobs: int, rates: Rates, missing: dict[str, str], options: Options) -> None:
    try:
        rate = drain(name, *mode, jobs)
    except NOT_MEASURED as exc:
        missing[f"{name} {mode[0]} {mode[1]}"] = str(exc)
        options.tell(f"    failed: {exc}")
        return
    rates.setdefault((name, mode), []).append(rate)
    options.tell(f"    {whole(rate)} jobs/s")


def drain(name: str, workers: int, kind: str, jobs: int) -> float:
    """Jobs a second of one run."""
    with running(name) as system:
        system.call("fill", jobs)
        with system.consumer(workers, kind) as consumer:
            wait(lambda: ended(system, consumer, jobs), 120, f"{jobs} jobs to run ({system.said()})", 0.02)
            marks = tally(system.folder)
            wait(lambda: system.call("stored") >= jobs, 10, "all results to be stored", 0.2)
    return (jobs - 1) / (marks.last - marks.first)


def ended(system: Running, consumer: subprocess.Popen[str], jobs: int) -> bool:
    """Whether all have run. Raises Failed when the consumer is gone."""
    if consumer.poll() is not None:
        raise Failed(f"the consumer ended: {system.said()}")
    return tally(system.folder).count >= jobs


def tabulate(section: Section, known: dict[str, Any], missing: dict[str, str], rates: Rates) -> None:
    base = {mode: values for (name, mode), values in rates.items() if name == "huey_sqlite"}
    rows = []
    for (name, mode), values in sorted(rates.items(), key=lambda item: -median(item[1])):
        against = base.get(mode) or base.get((4, "process"))
        same = against is not None and len(against) == len(values)
        ratio = times(median(ratios(values, against))) if same and against else "-"
        rows.append((known[name]["title"], f"{mode[0]} {mode[1]}", spread(values), ratio))
    section.table(("system", "workers", "jobs/s", "to Huey on SQLite, same workers (or 4 processes)"), rows)
    if missing:
        section.say("Not measured:")
        section.lines += [""] + [f"- {name}: {why}" for name, why in missing.items()]


def reach(section: Section, known: dict[str, Any], rates: Rates) -> None:
    one, four, processes = (1, "thread"), (4, "thread"), (4, "process")

    def against(name: str, mode: Any, other: str, factor: float) -> None:
        ours, theirs = rates.get((name, mode)), rates.get((other, mode))
        if ours and theirs and len(ours) == len(theirs):
            ratio = median(ratios(ours, theirs))
            what = f"{known[name]['title']}, {mode[0]} {mode[1]}, to {known[other]['title']}"
            section.reach.append((what, f"{factor:g}x", times(ratio), ratio >= factor))

    def absolute(mode: Any, wanted: float) -> None:
        ours = rates.get(("duey_sqlite", mode))
        if ours:
            what = f"Duey on SQLite, {mode[0]} {mode[1]}"
            section.reach.append((what, whole(wanted), whole(median(ours)), median(ours) >= wanted))

    absolute(one, 12_000)
    absolute(processes, 20_000)
    against("duey_sqlite", one, "huey_sqlite", 6)
    against("duey_sqlite", processes, "huey_sqlite", 10)
    peers = [median(values) for (name, _), values in rates.items() if name in PEERS]
    if peers and rates.get(("duey_sqlite", processes)):
        ratio = median(rates[("duey_sqlite", processes)]) / max(peers)
        section.reach.append(("Duey on SQLite, 4 process, to the best peer", "3x", times(ratio), ratio >= 3))
    if rates.get(("duey_sqlite", one)) and rates.get(("duey_sqlite", four)):
        ratio = median(rates[("duey_sqlite", four)]) / median(rates[("duey_sqlite", one)])
        section.reach.append(("4 threads to 1 thread", "1x", times(ratio), ratio >= 0.97))
    for mode in (one, processes):
        against("duey_redis", mode, "huey_redis", 2)
