"""The ledger: what really ran, as the task bodies themselves wrote it down."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple


class Run(NamedTuple):
    """One execution of a body: by whom, from when to when (CLOCK_MONOTONIC); `ended` is None where it was cut off."""

    n: str
    pid: int
    began: float
    ended: float | None


class Ledger:
    """The file that tests.acceptance.workload writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[tuple[str, int, str, float]]:
        """Every whole line: job, pid, begin or end, instant."""
        text = self.path.read_text(encoding="ascii")
        rows = [line.split(" ") for line in text[: text.rfind("\n") + 1].splitlines()]
        return [(n, int(pid), what, float(at)) for n, pid, what, at in rows]

    def runs(self) -> dict[str, list[Run]]:
        """The executions of each job, in the order in which they began."""
        found: dict[str, list[Run]] = defaultdict(list)
        for n, pid, what, at in self.lines():
            if what == "begin":
                found[n].append(Run(n, pid, at, None))
                continue
            index = max(i for i, run in enumerate(found[n]) if run.pid == pid and run.ended is None)
            found[n][index] = found[n][index]._replace(ended=at)
        return dict(found)

    def runs_of(self, n: object) -> list[Run]:
        """The executions of one job."""
        return self.runs().get(str(n), [])

    def began(self) -> int:
        """How many executions have begun."""
        return sum(what == "begin" for _, _, what, _ in self.lines())

    def running(self) -> list[Run]:
        """Executions that have begun and not ended (their process may be dead)."""
        return [run for runs in self.runs().values() for run in runs if run.ended is None]
