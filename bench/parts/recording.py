"""Recording: what the history costs. A drain with the recorder at work beside the same drain without it, and a steady
stream of 5,000 jobs a second, after which nothing may wait to be recorded.

The recorder runs as `duey record`, so that its cost is not mixed with that of the web. What was deferred is on
record before a drain begins; from then on it writes what happens as it happens.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from bench.body import tally
from bench.figures import median, ratios, spread, whole
from bench.options import Options
from bench.parts.drain import ended
from bench.processes import cpu_s
from bench.report import Section
from bench.running import Running, end, running, wait

MODES = ((1, "thread"), (4, "process"))
JOBS = 40_000
RATE_PER_S = 5000


def measure(options: Options) -> Section:
    section = Section("recording", "Recording: what the history costs")
    jobs = options.count(JOBS)
    drains: dict[tuple[str, int, bool], list[Drain]] = {}
    rounds, modes = min(2, options.rounds), MODES[:1] if options.quick else MODES
    for number in range(rounds):
        for workers, kind in modes:
            for recorded in (False, True):
                beside = "with the recorder" if recorded else "without"
                options.tell(f"recording {number + 1}/{rounds}: {workers} {kind}, {beside}")
                drains.setdefault((kind, workers, recorded), []).append(drain(workers, kind, jobs, recorded))
    rows, cpu_rows = [], []
    for workers, kind in modes:
        without, recording = drains[kind, workers, False], drains[kind, workers, True]
        rates = [each.rate for each in without], [each.rate for each in recording]
        cost = 1 - median(ratios(rates[1], rates[0]))
        rows.append((f"{workers} {kind}", spread(rates[0]), spread(rates[1]), f"{cost:.0%}"))
        section.reach.append((f"the recorder's cost, {workers} {kind}", "at most 10%", f"{cost:.0%}", cost <= 0.10))
        cpu = [median([each.consumer_us for each in some]) for some in (without, recording)]
        cpu += [median([getattr(each, name) for each in recording]) for name in ("recorder_us", "recorder_all_us")]
        cpu_rows.append((f"{workers} {kind}", *(f"{each:.0f}" for each in cpu)))
    section.table(("workers", "jobs/s without the recorder", "with it", "cost"), rows)
    section.say("Processor time, microseconds a job (the consumer's start is part of it):")
    section.table(
        (
            "workers",
            "consumer without",
            "consumer with",
            "recorder, during the drain",
            "recorder, until all is recorded",
        ),
        cpu_rows,
    )
    keeping_up(section, options)
    return section


class Drain(NamedTuple):
    """Jobs a second, and processor time in microseconds a job."""

    rate: float
    consumer_us: float
    recorder_us: float = 0.0  # until the last body had run
    recorder_all_us: float = 0.0  # until nothing waited to be recorded


def drain(workers: int, kind: str, jobs: int, recorded: bool) -> Drain:
    """With a recorder, which has caught up before, or without: then it has gone, so that both find the same file."""
    with running("duey_sqlite") as system:
        system.call("fill", jobs)
        with recorder(system) as program:
            caught_up(system)
            if not recorded:
                end(program)
            spent = [cpu_s(program.pid)]  # seconds; of one that has gone, none
            with system.consumer(workers, kind) as consumer:
                wait(lambda: ended(system, consumer, jobs), 120, f"{jobs} jobs to run ({system.said()})", 0.02)
                consumer_s, marks = cpu_s(consumer.pid), tally(system.folder)
                spent.append(cpu_s(program.pid))
            if recorded:
                caught_up(system)
            spent.append(cpu_s(program.pid))
    rate = (jobs - 1) / (marks.last - marks.first)
    return Drain(rate, *(each / jobs * 1e6 for each in (consumer_s, spent[1] - spent[0], spent[2] - spent[0])))


def caught_up(system: Running) -> None:
    """Wait until everything is recorded."""
    wait(lambda: system.run("bench.probes.backlog") == 0, 60, "the recorder to catch up", 0.5)


@contextlib.contextmanager
def recorder(system: Running) -> Iterator[subprocess.Popen[str]]:
    with open(system.folder / "recorder.log", "ab") as log:
        program = system.start("manage.py", "record", stdout=log, stderr=subprocess.STDOUT)
    try:
        yield program
    finally:
        end(program)


def keeping_up(section: Section, options: Options) -> None:
    """A steady stream: how much waits for the recorder at its end, and how soon that is gone."""
    seconds = options.pick(4, 15)
    options.tell(f"recording: {RATE_PER_S} jobs/s for {seconds:.0f} s")
    with running("duey_sqlite") as system, system.consumer(1, "thread"), recorder(system):
        found = system.run("bench.probes.stream", str(RATE_PER_S), str(seconds))
    section.say(
        f"{whole(found['rate_per_s'])} jobs/s deferred, run and recorded for {seconds:.0f} s: at its end "
        f"{whole(found['backlog'])} events waited for the recorder (at most {whole(found['worst_backlog'])} on the "
        f"way), {found['catch_up_s']:.1f} s later none."
    )
    kept_up = found["rate_per_s"] >= RATE_PER_S * 0.98 and found["catch_up_s"] <= 2.0
    section.reach.append(
        ("recorded at a steady 5,000 jobs/s", "keeps up", f"{found['catch_up_s']:.1f} s behind at the end", kept_up)
    )
