"""The history: how soon pages and their queries are answered when many jobs are on record (bench/seed_history.py and
bench/page_times.py say how), in a SQLite file and on a PostgreSQL server."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile

from bench.environments import CACHE
from bench.figures import whole
from bench.options import Options
from bench.report import Section
from bench.running import ROOT, Failed
from tests.support.postgres_server import MISSING, PostgresServer, postgres_binaries

JOBS = 1_000_000
ROW = re.compile(r"^(.{40}) +([\d.]+) +([\d.]+) +([\d.]+)$", re.MULTILINE)
RATE = re.compile(r"([\d,]+) jobs/s")
WANTED_MS, WANTED_RATE = 50.0, 5000
# As Debian installs it: every commit is synced. Only what a test server would do for its own sake is left out.
SERVER: dict[str, str] = {}


def measure(options: Options) -> Section:
    section = Section("history", f"The history: pages and queries with {whole(_jobs(options))} jobs on record")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        rows = _measured(options, section, ["--file", f"{folder}/history.db"])
    _reach(section, rows)
    return section


def measure_on_postgresql(options: Options) -> Section:
    title = f"The history on PostgreSQL: pages and queries with {whole(_jobs(options))} jobs on record"
    section = Section("history_on_postgresql", title)
    binaries = postgres_binaries()
    if binaries is None:
        raise Failed(MISSING)
    with PostgresServer(binaries, SERVER) as server:
        rows = _measured(options, section, ["--database", server.url(server.new_database())])
    section.say("Processor time is that of the web and of the server's process.")
    _reach(section, rows)
    return section


def _jobs(options: Options) -> int:
    return options.count(JOBS if not options.quick else 100_000)


def _measured(options: Options, section: Section, where: list[str]) -> list[tuple[str, ...]]:
    jobs = _jobs(options)
    options.tell(f"{section.name}: {whole(jobs)} jobs are recorded, then asked for")
    command = [sys.executable, "-m", "bench.seed_history", "--jobs", str(jobs), *where]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    if ran.returncode:
        raise Failed((ran.stderr.strip().splitlines() or ["seed_history ended without a word"])[-1])
    rows = [tuple(text.strip() for text in row) for row in ROW.findall(ran.stdout)]
    section.say(" ".join(line for line in ran.stdout.splitlines() if line.startswith(("recorded", f"{jobs:,} jobs"))))
    section.table(("query or page", "median ms", "of it processor ms", "worst ms"), rows)
    rate = RATE.search(ran.stdout)
    if rate is not None:
        found = int(rate[1].replace(",", ""))
        section.reach.append(("jobs recorded in a second", f">= {WANTED_RATE:,}", f"{found:,}", found >= WANTED_RATE))
    return rows


def _reach(section: Section, rows: list[tuple[str, ...]]) -> None:
    for kind, column in (("query, at the median", 1), ("page, processor at the median", 2)):
        of_kind = [row for row in rows if row[0].startswith("page: ") == (column == 2)]
        slowest = max(of_kind, key=lambda row: float(row[column]))
        found = f"{slowest[column]} ms ({slowest[0]})"
        section.reach.append((f"every {kind}", "< 50 ms", found, float(slowest[column]) < WANTED_MS))
