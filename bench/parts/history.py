"""The history: how soon pages and their queries are answered when many jobs are on record (bench/seed_history.py and
bench/page_times.py say how)."""

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

JOBS = 1_000_000
ROW = re.compile(r"^(.{40}) +([\d.]+) +([\d.]+) +([\d.]+)$", re.MULTILINE)
WANTED_MS = 50.0


def measure(options: Options) -> Section:
    jobs = options.count(JOBS if not options.quick else 100_000)
    section = Section("history", f"The history: pages and queries with {whole(jobs)} jobs on record")
    options.tell(f"history: {whole(jobs)} jobs are recorded, then asked for")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = [sys.executable, "-m", "bench.seed_history", "--jobs", str(jobs), "--file", f"{folder}/history.db"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    if ran.returncode:
        raise Failed((ran.stderr.strip().splitlines() or ["seed_history ended without a word"])[-1])
    rows = [tuple(text.strip() for text in row) for row in ROW.findall(ran.stdout)]
    section.say(" ".join(line for line in ran.stdout.splitlines() if line.startswith(("recorded", f"{jobs:,} jobs"))))
    section.table(("query or page", "median ms", "of it processor ms", "worst ms"), rows)
    for kind, column in (("query, at the median", 1), ("page, processor at the median", 2)):
        slowest = max(
            (row for row in rows if row[0].startswith("page: ") == (column == 2)), key=lambda row: float(row[column])
        )
        found = f"{slowest[column]} ms ({slowest[0]})"
        section.reach.append((f"every {kind}", "< 50 ms", found, float(slowest[column]) < WANTED_MS))
    return section
