"""Masking: what it costs a drain of jobs with hidden arguments in which nothing fails and nothing is logged."""

from __future__ import annotations

from bench.figures import median, ratios
from bench.options import Options
from bench.report import Section
from bench.running import running

JOBS = 8_000  # in each round


def measure(options: Options) -> Section:
    section = Section("masking", "Masking: what hidden arguments cost")
    jobs = options.rounds * options.count(JOBS) // 40 * 40
    options.tell(f"masking: {jobs} jobs of each kind")
    with running("duey_sqlite") as system:
        found = system.run("bench.probes.masking", str(jobs))
    rows = []
    for returned, costs in found.items():
        cost = median(ratios(costs["masked"], costs["unmasked"])) - 1
        without, masked = median(costs["unmasked"]), median(costs["masked"])
        rows.append((returned, f"{without:.1f}", f"{masked:.1f}", f"{cost:.1%}"))
        section.reach.append((f"masking, each job returns {returned}", "at most 2%", f"{cost:.1%}", cost <= 0.02))
    head = ("each job returns", "nothing hidden, processor µs a job", "two hidden arguments", "cost")
    section.table(head, rows)
    section.say(
        f"Duey on SQLite, one worker thread, {jobs} jobs of each kind, by turns 20 that hide a `password` and an "
        "`api_key` and 20 of the same shape that hide nothing: medians of the thread's processor time, and of the "
        "ratios of neighbours. Results are masked by the process that records the history, so a worker masks only "
        "what fails or is logged."
    )
    return section
