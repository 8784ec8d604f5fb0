"""The backlog: events that wait for the books, kept from filling the storage when nobody records them for long.

Above `[monitor] backlog_rows` unread events, the oldest successes are folded: the two events of a job that was accepted
and done at its first attempt, with nothing else to tell, go, and one `counted` event says for its task and minute how
many there were and how long they waited and ran. Whatever failed, was retried, canceled or logged something stays as it
is. The keeper of each consumer folds, so that the bound holds with no web process at all; two keepers that meet take
nothing twice.

Left alone are the oldest UNTOUCHED events, of which a recorder may have some in hand: what it has read is never counted
as well. Events are looked at once, in their order, from there on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from engine.events import DONE, ENQUEUED

UNTOUCHED = 2500  # more than a recorder reads at a time
STEP = 5000  # events in one look
PAIRS = 250  # jobs that are folded in one transaction
TURNS = 20  # transactions between two looks at how many events there are
MINUTE_S = 60


class Seen(NamedTuple):
    """An event as the look for successes sees it. `is_plain`: of a first attempt, without anything more to tell."""

    number: int
    job: Any
    kind: str
    is_plain: bool


class Pair(NamedTuple):
    """The numbers of the events with which a plain job was accepted and done."""

    first: int
    last: int


class Source(Protocol):
    """Where events wait."""

    def count(self) -> int: ...
    def look(self, after: int, untouched: int) -> Sequence[Seen]:
        """The oldest STEP events above a number, but for the `untouched` oldest of all."""

    def fold(self, pairs: Sequence[Pair], untouched: int) -> int:
        """Make counts of at most PAIRS jobs, in one transaction; how many of them were still there."""


class Backlog:
    """The bound of one storage, kept by one thread."""

    def __init__(self, source: Source, most: int) -> None:
        self._source, self._most = source, most
        self._begin()

    def _begin(self) -> None:
        self._after = 0
        self._accepted: dict[Any, int] = {}  # job to the number of its acceptance, until something else is met
        self._pairs: list[Pair] = []

    def relieve(self) -> bool:
        """Fold some if there are too many; True when there is more to be done."""
        excess = self._source.count() - self._most
        if excess <= 0:
            self._begin()
            return False
        for _ in range(TURNS):
            is_end = not self._pairs and not self._look()
            some = self._pairs[: min(PAIRS, (excess + 1) // 2)]
            if is_end and not some:
                return False  # what is there cannot be folded; what comes is looked at next time
            self._pairs = self._pairs[len(some) :]
            excess -= 2 * self._source.fold(some, UNTOUCHED) if some else 0
            if excess <= 0:
                break
        return True

    def _look(self) -> bool:
        """Pair what comes next; whether more comes behind it."""
        found = self._source.look(self._after, UNTOUCHED)
        for seen in found:
            if seen.kind == ENQUEUED:
                self._accepted[seen.job] = seen.number
                continue
            first = self._accepted.pop(seen.job, None)
            if first is not None and seen.kind == DONE and seen.is_plain:
                self._pairs.append(Pair(first, seen.number))
        if found:
            self._after = found[-1].number
        return len(found) >= STEP


@dataclass
class Counted:
    """Plain jobs of one task that were done in one minute."""

    task: str
    at: int  # the minute, epoch seconds
    done: int = 0
    run_ms: float = 0.0
    run_max_ms: float = 0.0
    wait_ms: float = 0.0
    wait_max_ms: float = 0.0

    def add(self, ready_at: float, started_at: float, at: float) -> None:
        run_ms, wait_ms = max(0.0, at - started_at) * 1000, max(0.0, started_at - ready_at) * 1000
        self.done += 1
        self.run_ms, self.run_max_ms = self.run_ms + run_ms, max(self.run_max_ms, run_ms)
        self.wait_ms, self.wait_max_ms = self.wait_ms + wait_ms, max(self.wait_max_ms, wait_ms)

    def as_detail(self) -> str:
        """As JSON, for the event."""
        names = ("task", "done", "run_ms", "run_max_ms", "wait_ms", "wait_max_ms")
        return json.dumps({name: getattr(self, name) for name in names})


def tally(jobs: Iterable[tuple[str, float, float, float]]) -> list[Counted]:
    """Counts by task and minute of jobs: (task, ready_at, started_at, finished_at)."""
    found: dict[tuple[str, int], Counted] = {}
    for task, ready_at, started_at, at in jobs:
        minute = int(at // MINUTE_S) * MINUTE_S
        counted = found.get((task, minute)) or found.setdefault((task, minute), Counted(task, minute))
        counted.add(ready_at, started_at, at)
    return list(found.values())
