"""The systems under measure, one file each, all with one interface.

A file is imported in its system's own environment only (`python -m bench.systems NAME VERB ...`), so it may import
what nobody else has installed. It ends with `SYSTEM`, an instance of a class below `System`. Where it keeps its files
and where its Redis is, BENCH_FOLDER and BENCH_REDIS say.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(os.environ.get("BENCH_FOLDER", "."))
REDIS_URL = os.environ.get("BENCH_REDIS", "")
Mode = tuple[int, str]  # workers, thread or process


class System:
    """One system: what it is, and how it is made to work."""

    title = ""
    settings = ""  # what it was set to
    guarantee = ""  # what it promises, with these settings
    packages: Sequence[str] = ()  # whose versions are told
    modes: Sequence[Mode] = ()  # that are drained; the first one is also measured for latency
    jobs = 3000  # no-ops that make a drain of a second or so

    def prepare(self) -> None:
        """Make what must be there before anything is deferred."""

    def fill(self, n: int) -> None:
        """Defer n no-ops in the fastest way that it has."""
        self.single(n)

    def single(self, n: int) -> None:
        """Defer n no-ops, one by one."""
        raise NotImplementedError

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        """Defer one body.arrive(sent)."""
        raise NotImplementedError

    def stored(self) -> int:
        """How many results are kept."""
        raise NotImplementedError

    def worker(self, workers: int, kind: str) -> list[str]:
        """The command line of a consumer."""
        raise NotImplementedError
