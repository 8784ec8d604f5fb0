"""The bench runs and writes a table that can be read; how fast anything is, is no matter of a test."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bench import figures, report
from bench.body import ARRIVAL, SLOT, delays, tally
from bench.report import Section

ROOT = Path(__file__).resolve().parent.parent.parent


# In one mode of three: each starts a handful of processes, and all are measured by the same lines.
BENCH = """
from bench.parts import drain
modes_of = drain.modes_of
drain.modes_of = lambda *system: modes_of(*system)[-1:]
from bench.__main__ import main
raise SystemExit(main())
"""


def test_a_drain_is_measured_and_written(tmp_path):
    output = tmp_path / "RESULTS.md"
    command = [sys.executable, "-c", BENCH, "--quick", "--scale", "0.005", "--only", "drain", "--systems"]
    environment = {**os.environ, "BENCH_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run(
        [*command, "duey_sqlite", "--output", str(output)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    ((mode, rate),) = re.findall(r"\| Duey on SQLite \| (\d \w+) \| ([\d,]+) \|", output.read_text())
    assert mode == "4 process" and int(rate.replace(",", "")) > 0, ran.stderr
    assert not list((tmp_path / "cache" / "runs").iterdir()), "a run left its folder behind"


def test_a_part_is_written_anew_without_the_others(tmp_path):
    path = tmp_path / "RESULTS.md"
    report.write(path, [Section("one", "One", ["first"]), Section("two", "Two", ["was here"])], ["one", "two"], "quick")
    report.write(path, [Section("two", "Two", ["changed"])], ["one", "two"], "quick")
    text = path.read_text()
    assert "first" in text and "changed" in text and "was here" not in text
    assert text.index("## One") < text.index("## Two")


def test_what_is_not_reached_is_said(tmp_path):
    section = Section("one", "One", reach=[("speed", "2x", "1.50x", False), ("care", "1x", "1.00x", True)])
    text = section.text("quick")
    assert "| speed | 2x | 1.50x | **no** |" in text and "| care | 1x | 1.00x | yes |" in text


def test_the_marks_of_all_processes_are_read_and_ranked(tmp_path):
    (tmp_path / "1.marks").write_bytes(SLOT.pack(3, 10.0, 12.0) + SLOT.pack(2, 9.0, 11.0) + SLOT.pack(0, 0.0, 0.0))
    (tmp_path / "2.marks").write_bytes(SLOT.pack(1, 8.5, 13.5))
    assert tally(tmp_path) == (6, 8.5, 13.5, (1, 5))
    (tmp_path / "1.arrivals").write_bytes(ARRIVAL.pack(2.0, 2.5))
    (tmp_path / "2.arrivals").write_bytes(ARRIVAL.pack(1.0, 1.25))
    assert delays(tmp_path) == [0.25, 0.5]
    ranks = {50: 5, 99: 10, 100: 10, 10: 1, 0: 1}  # percentiles are values that were seen
    assert {percent: figures.percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) for percent in ranks} == ranks
