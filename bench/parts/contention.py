"""Contention: four producers, four consumer processes and a reader on one SQLite file, all at once.

The producers defer one by one as fast as they can, so the file is as busy as four processes can make it. What may not
happen: an error that reaches a caller, a defer that waits long, a consumer that starves. Plain Huey beside it.
"""

from __future__ import annotations

import subprocess
from typing import Any

from bench.body import tally
from bench.figures import ms, times, whole
from bench.options import Options
from bench.report import Section
from bench.running import NOT_MEASURED, Failed, Running, answer_in, end, running, wait

PRODUCERS = CONSUMERS = 4
BACKLOG = 20_000  # so that all consumers are busy from the start


def measure(options: Options) -> Section:
    section = Section("contention", "Contention: 4 producers, 4 consumer processes, 1 reader")
    rows = []
    for name in ("duey_sqlite", "huey_sqlite"):
        seconds = options.pick(8, 60) if name == "duey_sqlite" else options.pick(3, 10)
        options.tell(f"contention: {name}, {seconds:.0f} s")
        backlog = options.count(BACKLOG if name == "duey_sqlite" else 2000)
        try:
            with running(name) as system:
                found = contend(system, seconds, backlog)
        except NOT_MEASURED as exc:
            section.say(f"{name} was not measured: {exc}")
            continue
        rows.append(row(name, seconds, found))
        if name == "duey_sqlite":
            worst, errors, fair = found["worst_s"], found["error_count"], found["fair"]
            section.reach.append(("errors that reached a caller", "0", str(errors), errors == 0))
            section.reach.append(("worst defer", "< 250 ms", f"{ms(worst)} ms", worst < 0.25))
            section.reach.append(("busiest to idlest consumer", "2x", times(fair), fair <= 2))
            for text in found["errors"]:
                section.say(f"An error: {text}")
    head = ("system", "for", "defers/s", "p50 ms", "p99 ms", "worst ms", "errors", "jobs run", "by consumer")
    section.table(head, rows)
    return section


def row(name: str, seconds: float, found: dict[str, Any]) -> tuple[str, ...]:
    return (
        name, f"{seconds:.0f} s", whole(found["count"] / seconds), ms(found["p50_s"]), ms(found["p99_s"]),
        ms(found["worst_s"]), str(found["error_count"]), whole(sum(found["by_consumer"])),
        " ".join(map(whole, found["by_consumer"])),
    )  # fmt: skip


def contend(system: Running, seconds: float, backlog: int) -> dict[str, Any]:
    """What the producers and the reader met, and what each consumer process ran."""
    system.call("fill", backlog)
    with system.consumer(CONSUMERS, "process"):
        wait(lambda: tally(system.folder).count, 20, f"the first job to run ({system.said()})")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        producers = [
            system.start("-m", "bench.probes.produce", system.name, str(seconds), "0", **pipes)
            for _ in range(PRODUCERS)
        ]
        monitored = system.name == "duey_sqlite"
        reader = system.start("-m", "bench.probes.read", str(seconds), **pipes) if monitored else None
        answers = [answer(program, seconds) for program in producers]
        look = answer(reader, seconds) if reader else {"errors": []}
        accepted = sum(each["count"] - each["error_count"] for each in answers) + backlog
        wait(lambda: tally(system.folder).count >= accepted, 120, "every accepted job to run")
        after = tally(system.folder)
    return {
        "count": sum(each["count"] for each in answers), "p50_s": max(each["p50_s"] for each in answers),
        "p99_s": max(each["p99_s"] for each in answers), "worst_s": max(each["worst_s"] for each in answers),
        "errors": [text for each in answers for text in each["errors"]][:5] + look["errors"][:5],
        "error_count": sum(each["error_count"] for each in answers) + len(look["errors"]),
        "by_consumer": after.by_process, "fair": max(after.by_process) / max(1, min(after.by_process)),
    }  # fmt: skip


def answer(program: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    try:
        out, err = program.communicate(timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        end(program)
        raise Failed(f"a producer did not end within {seconds + 60:.0f} s") from None
    if program.returncode:
        raise Failed((err.strip().splitlines() or ["a producer ended without a word"])[-1])
    found: dict[str, Any] = answer_in(out)
    return found
