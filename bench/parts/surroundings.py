"""What was measured, on what: the machine, and for every system its versions, its settings and its guarantee."""

from __future__ import annotations

from bench import machine
from bench.options import Options
from bench.parts.drain import describe_all
from bench.report import Section


def describe(options: Options) -> Section:
    section = Section("setup", "Machine, settings, guarantees")
    section.table(("", ""), machine.facts())
    known, missing = describe_all(options)
    rows = []
    for about in known.values():
        versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        rows.append((about["title"], versions, about["settings"], about["guarantee"]))
    rows += [(name, "not measured", why, "-") for name, why in missing.items()]
    section.table(("system", "versions", "set to", "guarantee"), rows)
    section.say(
        "For a drain, a queue is filled in bulk where the system can do that. Peers run in environments of their own, "
        "Huey and Duey in one."
    )
    return section
