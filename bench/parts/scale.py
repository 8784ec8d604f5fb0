"""Scale: what claiming and deferring cost with a million jobs waiting, or scheduled, beside an empty queue; and whether
memory stays flat: of a consumer that works at the head of such a queue, and of the web that answers beside it.
"""

from __future__ import annotations

import json
import time
import urllib.request

from bench import processes
from bench.body import tally
from bench.figures import ms, times, whole
from bench.options import Options
from bench.parts import http
from bench.report import Section
from bench.running import Running, running, wait

MB = 2**20
COSTS = ("claim_us", "defer_us", "batch_us")


def measure(options: Options) -> Section:
    many = options.count(1_000_000) if not options.quick else options.count(200_000)
    section = Section("scale", f"Scale: {whole(many)} jobs")
    found = {}
    for name, sizes in (("empty", (0, 0)), ("waiting", (many, 0)), ("scheduled", (0, many))):
        options.tell(f"scale: {whole(many)} {name}" if name != "empty" else "scale: an empty queue")
        with running("duey_sqlite") as system:
            found[name] = system.run("bench.probes.cost", *map(str, sizes))
            if name == "waiting":
                memory(section, system, options)
    empty = found["empty"]
    rows = [
        (
            name, *(f"{each[key]:.0f} ({times(each[key] / empty[key])})" for key in COSTS),
            f"{each['rss_before_mb']:.0f} / {each['rss_after_mb']:.0f}",
        )
        for name, each in found.items()
    ]  # fmt: skip
    head = ("queue", "claim and settle, µs a job", "synced defer, µs", "in batches, µs a job", "own memory, MB")
    section.table(head, rows)
    section.say(f"Deferring {whole(many)} jobs in batches of 1,000 took {found['waiting']['grown_s']:.0f} s.")
    for name in ("waiting", "scheduled"):
        for key, what in (("claim_us", "claim"), ("defer_us", "defer")):
            ratio = found[name][key] / empty[key]
            section.reach.append((f"{what} with {whole(many)} {name}, to empty", "1.5x", times(ratio), ratio <= 1.5))
    return section


def memory(section: Section, system: Running, options: Options) -> None:
    """What consumer and web hold with a million waiting: at their first jobs, once warm, and as long again later."""
    options.tell("scale: memory of consumer and web")
    asked: list[float] = []
    held: list[tuple[int, int]] = []
    with http.served(system, "web") as (port, token, pid), system.consumer(1, "thread") as consumer:
        wait(lambda: tally(system.folder).count > 1000, 30, f"the first jobs to run ({system.said()})")
        count = tally(system.folder).count
        for seconds in (0.0, options.pick(3, 12), options.pick(3, 12)):
            ask_until(time.monotonic() + seconds, port, token, asked)
            held.append((processes.own_bytes(consumer.pid), processes.own_bytes(pid)))
        ran = tally(system.folder).count - count
    told = [" to ".join(f"{each[i] / MB:.0f}" for each in held) for i in (0, 1)]
    section.say(
        f"Memory (no file's) at the first job, after {options.pick(3, 12):.0f} s and after as long again, while a "
        f"consumer ran {whole(ran)} of them and the web recorded them and answered {len(asked)} job lists (worst "
        f"{ms(max(asked))} ms): consumer {told[0]} MB (parent and unit), web {told[1]} MB."
    )
    for what, i in (("consumer", 0), ("web", 1)):
        grown, most = (held[-1][i] - held[-2][i]) / MB, max(each[i] for each in held) / MB
        section.reach.append((f"memory of the {what}, once warm", "flat", f"{grown:+.1f} MB", grown < 5))
        section.reach.append((f"memory of the {what}, at most", "< 150 MB", f"{most:.0f} MB", most < 150))


def ask_until(deadline: float, port: int, token: str, asked: list[float]) -> None:
    """Look at the list of jobs over and over; how long each look took."""
    while time.monotonic() < deadline:
        began = time.monotonic()
        page(port, token)
        asked.append(time.monotonic() - began)


def page(port: int, token: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/jobs?limit=50", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        json.load(answer)
