"""What was asked for on the command line, as the measurements see it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

_began = time.monotonic()


@dataclass(frozen=True)
class Options:
    """`scale` multiplies every count of jobs; `seconds` are those of a timed run."""

    quick: bool = False
    rounds: int = 3
    scale: float = 1.0
    systems: tuple[str, ...] = ()  # empty: all

    def count(self, jobs: int) -> int:
        """How many jobs instead of so many."""
        return max(50, int(jobs * self.scale))

    def pick(self, quick: float, full: float) -> float:
        """One value for --quick, one for the rest; shorter still in the smoke test."""
        return (quick if self.quick else full) * min(1.0, self.scale * 4 if self.quick else 1.0)

    @staticmethod
    def tell(text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - _began:5.0f} s] {text}", file=sys.stderr, flush=True)
