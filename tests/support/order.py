"""The order of tests, for a run on several processes: what waits long begins first, in each of them.

xdist cuts the list into one piece for each process, which starts at its beginning; who has ended takes over what others
have at their end. So each piece begins with its share of the long tests and ends with short ones, and no long test is
left over for the end of the run. One piece has short ones alone: they need a processor while the long ones wait. Tests
of one module stay together: they share what was started for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

# Seconds that a test takes, by the beginning of its name: most of it is waiting for processes.
LONG_S = {
    "tests/test_packaging.py": 6.0, "tests/acceptance/browser/": 4.0, "tests/acceptance/test_slow_code.py": 10.0,
    "tests/acceptance/test_alerts.py": 8.0, "tests/acceptance/test_worker_crashes.py": 6.0,
    "tests/acceptance/test_two_webs.py": 7.0, "tests/cli/test_postgres.py": 3.0,
    "tests/acceptance/hosts/test_hosts.py": 18.0, "tests/acceptance/": 2.5,
    "tests/docs/": 2.0, "tests/bench/": 1.2,
    "tests/deploy/": 1.0, "tests/api/test_openapi.py": 1.0, "tests/alerts/channels/": 0.8,
}  # fmt: skip
TOGETHER = "tests/acceptance/browser/"  # one browser and one service for the whole folder


def long_first(names: Iterable[str], processes: int) -> list[str]:
    """The names in the order in which they are to be run by so many processes."""
    groups: dict[str, list[str]] = {}
    short = []
    for name in names:
        if seconds(name):
            module = TOGETHER if name.startswith(TOGETHER) else name.partition("::")[0]
            groups.setdefault(module, []).append(name)
        else:
            short.append(name)
    shares: list[list[str]] = [[] for _ in range(processes)]
    for group in sorted(groups.values(), key=lambda each: -sum(map(seconds, each))):
        min(shares[: processes - 1] or shares, key=lambda share: sum(map(seconds, share))).extend(group)
    ordered, left = [], sum(map(len, shares)) + len(short)
    for n, share in enumerate(shares):
        size = left // (processes - n)  # as xdist cuts
        filling, short = short[: max(0, size - len(share))], short[max(0, size - len(share)) :]
        ordered += share + filling
        left -= len(share) + len(filling)
    return ordered + short


def seconds(name: str) -> float:
    return next((each for begin, each in LONG_S.items() if name.startswith(begin)), 0.0)


def processes() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
