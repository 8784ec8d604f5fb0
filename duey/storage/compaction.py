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
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from duey.model.event import DONE, ENQUEUED

UNTOUCHED = 2500  # more than a recorder reads at a time
STEP = 5000  # events in one look
PAIRS = 250  # jobs that are folded in one transaction
TURNS = 20  # transactions between two looks at how many events there are
MINUTE_S = 60


class Seen(NamedTuple):
    """An event as the look for successes sees it. `is_plain`: of a first attempt, without anything more to tell."""

    number: int
    job: int  # its running number
    kind: str
    is_plain: bool


class Pair(NamedTuple):
    """The numbers of the events with which a plain job was accepted and done."""

    first: int
    last: int


class Acceptances:
    """Which event told of a job's acceptance, for each job of which nothing else was met yet.

    There may be a million of them, for a job that waits has an unread acceptance: 8 bytes each where their running
    numbers are close together, as they are, instead of the 100 of a dict.
    """

    PAGE = 64  # jobs: a page takes some 600 bytes, which is the most that one job alone may cost

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}  # event numbers, and behind them how many are not 0

    def put(self, job: int, event: int) -> None:
        page = self._pages.get(job // self.PAGE)
        if page is None:
            page = self._pages[job // self.PAGE] = array("q", bytes(8 * (self.PAGE + 1)))
        page[-1] += not page[job % self.PAGE]
        page[job % self.PAGE] = event

    def take(self, job: int) -> int:
        """Its event, once; 0 where there is none."""
        page = self._pages.get(job // self.PAGE)
        event = page[job % self.PAGE] if page else 0
        if page and event:
            page[job % self.PAGE] = 0
            page[-1] -= 1
            if not page[-1]:
                del self._pages[job // self.PAGE]
        return event


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
        self._accepted = Acceptances()
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
                self._accepted.put(seen.job, seen.number)
                continue
            first = self._accepted.take(seen.job)
            if first and seen.kind == DONE and seen.is_plain:
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
