"""One call into a system, in its own environment; the answer is JSON on the last line of standard output.

python -m bench.systems NAME describe | prepare | fill N | single N | stored
python -m bench.systems NAME wake | pace RATE SECONDS | later N SECONDS
python -m bench.systems NAME work WORKERS KIND          (becomes the consumer)
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from bench.systems import System


def describe(system: System) -> dict[str, Any]:
    return {
        "title": system.title,
        "settings": system.settings,
        "guarantee": system.guarantee,
        "versions": {name: version(name) for name in system.packages},
        "modes": list(system.modes),
        "jobs": system.jobs,
    }


def seconds_of(call: Callable[[int], None], n: int) -> float:
    began = time.perf_counter()
    call(n)
    return time.perf_counter() - began


def pace(system: System, rate: float, seconds: float) -> None:
    """Defer at a steady rate, whatever a single defer takes."""
    system.send(time.monotonic())  # opens what is opened once
    time.sleep(0.5)
    begin = time.monotonic()
    for i in range(int(rate * seconds)):
        pause = begin + i / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        system.send(time.monotonic())


def later(system: System, n: int, seconds: float) -> None:
    """Defer n jobs that are due at instants scattered over the coming seconds."""
    chance = random.Random(5)
    for _ in range(n):
        delay_s = chance.uniform(0.5, seconds)
        system.send(time.monotonic() + delay_s, delay_s)


def main(name: str, verb: str, *args: str) -> None:
    system: System = importlib.import_module(f"bench.systems.{name}").SYSTEM
    answer: Any = None
    if verb == "describe":
        answer = describe(system)
    elif verb in ("fill", "single"):
        answer = seconds_of(getattr(system, verb), int(args[0]))
    elif verb == "pace":
        pace(system, float(args[0]), float(args[1]))
    elif verb == "later":
        later(system, int(args[0]), float(args[1]))
    elif verb == "wake":
        system.prepare()  # opens what is opened once
        system.send(time.monotonic())
    elif verb == "work":
        argv = system.worker(int(args[0]), args[1])
        os.execv(argv[0], argv)
    else:
        answer = getattr(system, verb)()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
