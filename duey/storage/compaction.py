"""Compaction of the event backlog: keeps unread events from filling the storage if nothing records them for long.

Above `[monitor] backlog_rows` unread events, the oldest successes are replaced by counts. The two events of a job that
was done at its first attempt, without log lines, are removed, and one `counted` event for its task and minute says how
many jobs there were and how long they waited and ran; what they used is lost. Events of jobs that failed, were retried
or canceled, or logged something are kept, as long as there are at most twice as many. Above that the oldest are
dropped, because a job that has ended is kept as long as its events are, and a storage that is full accepts nothing.
Every consumer compacts, so the bound holds without a web process; two that do it at the same time count nothing twice.

The oldest UNTOUCHED events are left alone, because a recorder may have read some of them and they must not be counted
as well. Each event behind them is examined once, in order.
"""

from __future__ import annotations

import json
import logging
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from duey.model.event import DONE, ENQUEUED

logger = logging.getLogger("duey.storage")
UNTOUCHED = 2500  # more than a recorder reads at a time
STEP = 5000  # events read at a time
PAIRS = 250  # jobs compacted in one transaction
TURNS = 20  # transactions between two counts of the events
MINUTE_S = 60


class Seen(NamedTuple):
    """What compaction needs to know of an event. `is_plain`: the end of a first attempt, without further details than
    what it used."""

    number: int
    job: int  # its running number
    kind: str
    is_plain: bool


class Pair(NamedTuple):
    """The numbers of the two events of a plain job: accepted and done."""

    first: int
    last: int


class Acceptances:
    """The event of acceptance of each job whose other events have not been met yet.

    There may be a million of them, because every waiting job has one. Their running numbers are close together, so
    pages of arrays take 8 bytes for each instead of the 100 of a dict.
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
        """Remove and return the event of a job; 0 if there is none."""
        page = self._pages.get(job // self.PAGE)
        event = page[job % self.PAGE] if page else 0
        if page and event:
            page[job % self.PAGE] = 0
            page[-1] -= 1
            if not page[-1]:
                del self._pages[job // self.PAGE]
        return event


class Source(Protocol):
    """The events of a storage."""

    def count(self) -> int: ...
    def read_after(self, after: int, untouched: int) -> Sequence[Seen]:
        """The oldest STEP events with a number above `after`, without the `untouched` oldest of all."""

    def compact(self, pairs: Sequence[Pair], untouched: int) -> int:
        """Replace the events of at most PAIRS jobs by counts, in one transaction.

        Returns how many jobs still had them.
        """

    def drop(self, most: int, untouched: int) -> int:
        """Remove up to `most` of the oldest events, without the `untouched` oldest of all. Returns how many."""


class Backlog:
    """Keeps the events of one storage bounded. For one thread."""

    def __init__(self, source: Source, most: int) -> None:
        self._source, self._most = source, most
        self._begin()

    def _begin(self) -> None:
        self._after = 0
        self._accepted = Acceptances()
        self._pairs: list[Pair] = []

    def relieve(self) -> bool:
        """Compact some events if there are too many. True if there is more to do."""
        excess = self._source.count() - self._most
        if excess <= 0:
            self._begin()
            return False
        for _ in range(TURNS):
            is_end = not self._pairs and not self._read_more()
            some = self._pairs[: min(PAIRS, (excess + 1) // 2)]
            if is_end and not some:  # nothing that can be compacted; later events are examined next time
                return self._drop(excess - self._most)
            self._pairs = self._pairs[len(some) :]
            excess -= 2 * self._source.compact(some, UNTOUCHED) if some else 0
            if excess <= 0:
                break
        return True

    def _drop(self, excess: int) -> bool:
        """Remove the oldest events that are too many even for those that are kept. True if there is more to do."""
        dropped = self._source.drop(min(excess, STEP), UNTOUCHED) if excess > 0 else 0
        if dropped:
            logger.warning(
                "%d events were dropped that nobody had recorded: expected at most twice [monitor] backlog_rows, "
                "found %d more: start a web process or `duey record`", dropped, excess,
            )  # fmt: skip
        return 0 < dropped < excess

    def _read_more(self) -> bool:
        """Pair the next events. True if there are more behind them."""
        found = self._source.read_after(self._after, UNTOUCHED)
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
    """The plain jobs of one task that were done in one minute."""

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
        """The counts as JSON, for the event."""
        names = ("task", "done", "run_ms", "run_max_ms", "wait_ms", "wait_max_ms")
        return json.dumps({name: getattr(self, name) for name in names})


def tally(jobs: Iterable[tuple[str, float, float, float]]) -> list[Counted]:
    """Counts by task and minute, from tuples (task, ready_at, started_at, finished_at) in epoch seconds."""
    found: dict[tuple[str, int], Counted] = {}
    for task, ready_at, started_at, at in jobs:
        minute = int(at // MINUTE_S) * MINUTE_S
        counted = found.get((task, minute)) or found.setdefault((task, minute), Counted(task, minute))
        counted.add(ready_at, started_at, at)
    return list(found.values())
