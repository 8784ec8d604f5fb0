"""HTTP: concurrent defers through Waitress, beside a bare Bottle echo on the same server.

The service is Duey's own `app.py`, once with the web alone and once with its consumer, which takes its share of the
processors; the echo answers the same request with its own body. In turns, one after the other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

from bench import processes
from bench.figures import median, ms, spread, times, whole
from bench.options import Options
from bench.report import Section
from bench.running import Failed, Running, end, running, wait
from tests.support.ports import free_port

THREADS = 8
Figures = dict[str, list[dict[str, float]]]


def measure(options: Options) -> Section:
    section = Section("http", "HTTP: defers from 8 clients")
    seconds = max(1.0, options.pick(2, 5))
    found: Figures = {}
    rounds = min(2, options.rounds)
    for number in range(rounds):
        for kind in ("echo", "web", "web and consumer"):
            options.tell(f"http {number + 1}/{rounds}: {kind}")
            with running("duey_sqlite") as system, served(system, kind) as (port, token, pid):
                found.setdefault(kind, []).append(load(system, port, token, pid, seconds))
    tabulate(section, found)
    return section


@contextlib.contextmanager
def served(system: Running, kind: str) -> Iterator[tuple[int, str, int]]:
    """A server of this kind: its port, a token that may enqueue, its pid."""
    port = free_port()
    if kind == "echo":
        program = system.start("-m", "bench.echo", str(port), str(THREADS))
        token = "duy_" + "x" * 43
    else:
        system.environment |= {"DUEY_WEB_PORT": str(port), "DUEY_WEB_THREADS": str(THREADS)}
        arguments = [] if kind == "web and consumer" else ["--web"]
        made = system.start("manage.py", "token", "create", "bench", "--scope", "enqueue,read", stdout=subprocess.PIPE)
        token = made.communicate()[0].strip().splitlines()[-1]
        with open(system.folder / "consumer.log", "ab") as log:
            program = system.start("app.py", *arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait(lambda: answers(port) or program.poll() is not None, 20, f"the server to answer ({system.said()})")
        if program.poll() is not None:
            raise Failed(f"the server ended: {system.said()}")
        yield port, token, program.pid
    finally:
        end(program)


def answers(port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def load(system: Running, port: int, token: str, pid: int, seconds: float) -> dict[str, float]:
    """One run of the clients; also what a request cost the server in processor time."""
    system.run("bench.client", str(port), token, "1")  # warm
    before, began = processes.cpu_s(pid), time.monotonic()
    figures: dict[str, float] = system.run("bench.client", str(port), token, str(seconds))
    figures["cpu_us"] = (processes.cpu_s(pid) - before) / (figures["accepted_per_s"] * seconds) * 1e6
    figures["busy"] = (processes.cpu_s(pid) - before) / (time.monotonic() - began)
    return figures


def tabulate(section: Section, found: Figures) -> None:
    titles = {"echo": "bare Bottle echo", "web": "Duey, web alone", "web and consumer": "Duey, web and consumer"}
    base = median([run["accepted_per_s"] for run in found["echo"]])
    rows = []
    for kind, runs in found.items():
        rate = median([run["accepted_per_s"] for run in runs])
        rows.append(
            (
                titles[kind], spread([run["accepted_per_s"] for run in runs]), times(rate / base),
                ms(median([run["p50_s"] for run in runs])), ms(median([run["p99_s"] for run in runs])),
                whole(median([run["cpu_us"] for run in runs])), f"{median([run['busy'] for run in runs]):.2f}",
                whole(sum(run["refused"] for run in runs)),
            )
        )  # fmt: skip
    head = (
        "server",
        "answered 202, a second",
        "to the echo",
        "p50 ms",
        "p99 ms",
        "processor µs each",
        "cores busy",
        "refused",
    )
    section.table(head, rows)
    tool = "wrk, one thread" if shutil.which("wrk") else "eight Python threads in a process of their own"
    section.say(
        f"Load: {tool}, 8 keep-alive connections on the same machine, which takes its share of the {os.cpu_count()} "
        f"cores; Waitress with {THREADS} threads. Duey's web includes its recorder."
    )
    runs = found["web"]
    rate, p99 = median([run["accepted_per_s"] for run in runs]), median([run["p99_s"] for run in runs])
    section.reach.append(("accepted over HTTP, 8 clients", "2,500 a second", whole(rate), rate >= 2500))
    section.reach.append(("p99 of them", "< 20 ms", f"{ms(p99)} ms", p99 < 0.02))
