"""Enqueue: how many jobs a second one process defers, one by one and in bulk, and what a defer costs beside the least
that SQLite can do: one synced insert of the same row.
"""

from __future__ import annotations

from bench.figures import median, ratios, spread, times, whole
from bench.options import Options
from bench.parts.drain import describe_all
from bench.report import Section
from bench.running import NOT_MEASURED, running

SINGLES = {"duey_redis": 3000, "huey_redis": 3000, "litequeue": 3000, "honker": 3000}  # others: fewer
BULK = {"duey_sqlite": 30_000, "duey_redis": 20_000, "rq": 3000}


def measure(options: Options) -> Section:
    section = Section("enqueue", "Enqueue")
    known, missing = describe_all(options)
    single: dict[str, list[float]] = {}
    bulk: dict[str, list[float]] = {}
    rounds = min(2, options.rounds)
    for number in range(rounds):
        for name in known:
            options.tell(f"enqueue {number + 1}/{rounds}: {known[name]['title']}")
            try:
                with running(name) as system:
                    count = options.count(SINGLES.get(name, 1500))
                    single.setdefault(name, []).append(count / system.call("single", count))
                    if name in BULK:
                        count = options.count(BULK[name])
                        bulk.setdefault(name, []).append(count / system.call("fill", count))
            except NOT_MEASURED as exc:
                missing[name] = str(exc)
    base = single.get("huey_sqlite", [])
    rows = []
    for name, values in sorted(single.items(), key=lambda item: -median(item[1])):
        ratio = times(median(ratios(values, base))) if len(base) == len(values) else "-"
        rows.append((known[name]["title"], spread(values), ratio, spread(bulk[name]) if name in bulk else "-"))
    section.table(("system", "one by one, jobs/s", "to Huey on SQLite", "in bulk, jobs/s"), rows)
    if missing:
        section.say("Not measured: " + "; ".join(f"{name}: {why}" for name, why in missing.items()))
    for name, wanted in (("duey_sqlite", 1.0), ("duey_redis", 0.8)):
        if name in known:
            beside_huey(section, name, known[name]["title"], wanted, options)
    if "duey_sqlite" in known:
        beside_raw(section, options)
        rate = median(bulk["duey_sqlite"])
        section.reach.append(("batch API on SQLite, 1,000 a batch", "20,000 jobs/s", whole(rate), rate >= 20_000))
    return section


def beside_huey(section: Section, name: str, title: str, wanted: float, options: Options) -> None:
    """One by one in one process with plain Huey, in turns."""
    other = title.replace("Duey", "Huey")
    options.tell(f"enqueue: {title} beside {other}")
    with running(name) as system:
        answer = system.run("bench.probes.beside", str(options.count(40)))
    clock, processor = ({key: [turn[which] for turn in turns] for key, turns in answer.items()} for which in (0, 1))
    ratio = median(ratios(clock["huey"], clock["duey"]))
    section.say(
        f"{title} beside {other} in one process, in {len(clock['duey'])} turns of 100: "
        f"{median(clock['duey']) * 1e6:.0f} to {median(clock['huey']) * 1e6:.0f} µs, of the processor "
        f"{median(processor['duey']) * 1e6:.0f} to {median(processor['huey']) * 1e6:.0f} µs."
    )
    section.reach.append((f"{title} one by one, to {other}, in turns", f"{wanted:g}x", times(ratio), ratio >= wanted))


def beside_raw(section: Section, options: Options) -> None:
    options.tell("enqueue: a synced defer beside a raw synced insert")
    with running("duey_sqlite") as system:
        answer = system.run("bench.probes.single", str(options.count(40) // (2 if options.quick else 1)))
    per = answer["per_turn"]
    defer_us, raw_us = (median(answer[key]) / per * 1e6 for key in ("defer_s", "raw_s"))
    ratio = median(ratios(answer["defer_s"], answer["raw_s"]))
    section.say(
        f"One synced defer takes {defer_us:.0f} µs, one raw synced insert of the same row {raw_us:.0f} µs "
        f"(medians of {len(answer['raw_s'])} turns of {per} each). The defer also makes the job, notes its place and "
        "its event and wakes a worker; but Duey gives its log a length beforehand, which spares each sync the journal "
        "of the file system, and the raw insert's log grows as SQLite lets it."
    )
    section.reach.append(("a synced defer, to a raw synced insert", "1.2x", times(ratio), ratio <= 1.2))
