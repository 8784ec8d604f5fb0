"""`python -m bench`: measure everything, side by side, and write bench/RESULTS.md, part by part as they end.

What one system or one measurement meets is told in its part, and ends nothing else.

--quick         smaller counts: about three minutes instead of about twelve
--only NAME     one measurement (may be given several times); the other parts of RESULTS.md stay as they are
--rounds N      rounds of the interleaved measurements (3)
--output FILE   another file than bench/RESULTS.md
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bench import report
from bench.options import Options
from bench.parts import (
    batching,
    contention,
    drain,
    enqueue,
    history,
    http,
    idleness,
    latency,
    masking,
    megabyte,
    recording,
    scale,
    surroundings,
)
from bench.report import Section

MEASUREMENTS: dict[str, Callable[[Options], Section]] = {
    "drain": drain.measure,
    "latency": latency.measure,
    "idleness": idleness.measure,
    "enqueue": enqueue.measure,
    "http": http.measure,
    "contention": contention.measure,
    "scale": scale.measure,
    "batching": batching.measure,
    "recording": recording.measure,
    "masking": masking.measure,
    "megabyte": megabyte.measure,
    "history": history.measure,
    "history_on_postgresql": history.measure_on_postgresql,
    "surroundings": surroundings.describe,
}


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measures Duey beside plain Huey and its peers.")
    parser.add_argument("--quick", action="store_true", help="smaller counts, two rounds")
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, help="rounds of the interleaved measurements (3, quick: 1)")
    parser.add_argument("--scale", type=float, help="multiplies every count of jobs (1, quick: 0.25)")
    parser.add_argument("--systems", help="only these, separated by commas")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    asked = arguments(argv)
    options = Options(
        quick=asked.quick,
        rounds=asked.rounds or (1 if asked.quick else 3),
        scale=asked.scale or (0.25 if asked.quick else 1.0),
        systems=tuple(asked.systems.split(",")) if asked.systems else (),
    )
    names = [name for name in MEASUREMENTS if not asked.only or name in asked.only]
    failed = 0
    for name in names:
        load, began = os.getloadavg()[0], time.monotonic()
        try:
            section = MEASUREMENTS[name](options)
        except Exception as exc:  # the other parts are worth having all the same
            failed += 1
            traceback.print_exc()
            section = Section(name, name, ["", f"It failed: {type(exc).__name__}: {exc}"])
        how = f"{'quick, ' if options.quick else ''}{options.rounds} rounds, {time.monotonic() - began:.0f} s"
        report.write(asked.output, [section], list(MEASUREMENTS), f"{how}, load average before {load:.2f}")
        for what, wanted, found, met in section.reach:
            print(f"{'yes' if met else 'NO ':3}  {what}: wanted {wanted}, found {found}", flush=True)
    print(f"written to {asked.output}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
