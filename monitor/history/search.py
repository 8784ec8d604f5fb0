"""Finding jobs: a filter becomes streams of numbers that an index gives in order, and checks of what they lead to.

A stream is a condition that one index serves from the newest number on; the streams of a filter are merged. What no
index serves (text, arguments, times) is checked row by row, in windows that grow, until the page is full or
SCAN_ROWS have been looked at: then the page ends, however few it holds, and its cursor goes on from there. So no
filter makes a page slow. Pages are complete while rows arrive, since a job's number never changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from peewee import SQL, SqliteDatabase, fn

from duey.model.job import DEFAULT_QUEUE, STATES
from duey.monitor.history.argument_filter import ArgumentFilter
from duey.monitor.history.names import Names
from duey.monitor.history.schema import JOBS
from duey.monitor.history.values import Count, JobFilter

J = JOBS.c
SCAN_ROWS = 6_000  # some 15 ms
DEEP_ROWS = 25 * SCAN_ROWS
WINDOWS = (200, 1_000, 4_000)
MANY = 2**62  # above every number
SHORT_ID_CHARS = 8  # from so many on a text may be the beginning of an id
SHORT_ID_MATCHES = 100


class Found(NamedTuple):
    """Numbers of jobs, newest first; `resume` is the number below which to go on, None at the end."""

    numbers: list[int]
    resume: int | None


class Search:
    """One filter, over one connection."""

    def __init__(self, db: SqliteDatabase, wanted: JobFilter, names: Names, scan_rows: int | None = None) -> None:
        self._db, self._wanted, self._names = db, wanted, names
        self._scan_rows = SCAN_ROWS if scan_rows is None else scan_rows
        self._arguments = ArgumentFilter(wanted.args)
        self._streams, self._checks = self._split()
        self._looked_down_to: int | None = None  # where the last look ended before the end

    def find(self, limit: int, below: int = MANY) -> Found:
        """The newest `limit` matches below a number."""
        numbers: list[int] = []
        for window in self._windows(below, limit + 1):
            numbers += self._matching(window)
            if len(numbers) > limit:
                return Found(numbers[:limit], numbers[limit - 1])
        return Found(numbers, self._looked_down_to)

    def count(self, cap: int) -> Count:
        """How many match, as far as a bounded look tells."""
        if self._is_exact:
            number = sum(self._size(stream, cap + 1) for stream in self._streams)
        else:
            number = 0
            for window in self._windows(MANY, cap + 1):
                number += sum(self._states_of(window).values())
                if number > cap:
                    break
        return Count(min(number, cap), number > cap or self._looked_down_to is not None)

    def count_states(self, cap: int) -> dict[str, Count]:
        """As `count`, for each state that the matches may have."""
        if self._is_exact:
            return {state: self._in_state(state).count(cap) for state in STATES}
        counted = dict.fromkeys(STATES, 0)
        for window in self._windows(MANY, cap + 1):
            for state, number in self._states_of(window).items():
                counted[state] += number
        ended_early = self._looked_down_to is not None
        return {state: Count(min(number, cap), number > cap or ended_early) for state, number in counted.items()}

    def _in_state(self, state: str) -> Search:
        return Search(self._db, replace(self._wanted, state=state), self._names)

    # the filter as streams and checks

    @property
    def _is_exact(self) -> bool:
        """Whether the streams alone answer."""
        return not self._checks and not self._wanted.args

    def _split(self) -> tuple[list[Any], list[Any]]:
        wanted = self._wanted
        checks = self._arguments.checks()
        streams: list[Any] = []
        states = [wanted.state] if wanted.state else []

        def take(condition: Any) -> None:
            """The first one gives the stream; it is the narrowest, and the others are checked."""
            if streams:
                checks.append(condition)
            else:
                streams.append(condition)

        if wanted.text:
            by_id = self._by_id(wanted.text)
            if by_id is None:
                checks.append(_holds(wanted.text))
            else:
                take(by_id)
        for column, value in ((J.parent, wanted.parent), (J.fingerprint, wanted.fingerprint)):
            if value:
                take(column == value)
        if wanted.error_type:
            take(J.error_type == wanted.error_type)
        if wanted.queue and wanted.queue != DEFAULT_QUEUE:
            # Spelt out, for the partial index serves only who says that it does.
            take((J.queue == wanted.queue) & SQL("queue <> 'default'"))
        elif wanted.queue:
            checks.append(J.queue == wanted.queue)
        if wanted.task:
            tasks = self._names.find(wanted.task)
            if streams:
                checks.append(J.task.in_(tasks))
            else:
                streams += [(J.task == task) & (J.state == state) for task in tasks for state in states or STATES]
                states = []
        for state in states:
            take(J.state == state)
        if wanted.by:
            checks.append(J.by == wanted.by)
        if wanted.since is not None:
            checks.append(J.changed_at >= wanted.since)
        if wanted.until is not None:
            checks.append(J.changed_at < wanted.until)
        return streams or [None], checks

    def _by_id(self, text: str) -> Any:
        """The condition for one id, or the ids of one beginning; None where the text is no such thing."""
        if JOBS.select(J.n).where(J.id == text).limit(1).count(self._db):
            return J.id == text
        if len(text) < SHORT_ID_CHARS:
            return None
        beginning = (J.id >= text) & (J.id < text + "\U0010ffff")
        found = JOBS.select(J.n).where(beginning).limit(SHORT_ID_MATCHES + 1).tuples().execute(self._db)
        numbers = [row[0] for row in found]
        return _one_of(numbers) if 0 < len(numbers) <= SHORT_ID_MATCHES else None

    # looking

    def _windows(self, below: int, wanted: int) -> Iterator[list[int]]:
        """Candidates, newest first; afterwards `_looked_down_to` tells where they ended before the end."""
        self._looked_down_to = None
        sizes = iter(WINDOWS)
        scanned = 0
        while scanned < self._scan_rows:
            size = wanted if self._is_exact else next(sizes, WINDOWS[-1])
            window = self._candidates(below, size)
            if window:
                yield window
            if len(window) < size:
                return
            below, scanned = window[-1], scanned + size
        self._looked_down_to = below

    def _candidates(self, below: int, limit: int) -> list[int]:
        found: list[int] = []
        for stream in self._streams:
            query = JOBS.select(J.n).where(J.n < below)
            if stream is not None:
                query = query.where(stream)
            found += [row[0] for row in self._db.execute(query.order_by(J.n.desc()).limit(limit))]
        if len(self._streams) > 1:
            found.sort(reverse=True)
        return found[:limit]

    def _size(self, stream: Any, limit: int) -> int:
        # With a state at least, so that a narrow index is counted rather than the rows themselves.
        conditions = [J.state == state for state in STATES] if stream is None else [stream]
        return sum(JOBS.select(J.n).where(each).limit(limit).count(self._db) for each in conditions)

    def _matching(self, window: Sequence[int]) -> list[int]:
        """Those of the candidates that pass the checks."""
        if self._is_exact:
            return list(window)
        columns = (J.n, J.args, J.kwargs, J.names) if self._wanted.args else (J.n,)
        rows = self._db.execute(self._checked(columns, window).order_by(J.n.desc()))
        return [row[0] for row in rows if len(row) == 1 or self._arguments.matches(*row[1:])]

    def _states_of(self, window: Sequence[int]) -> dict[str, int]:
        """How many of the candidates pass the checks, by state."""
        if self._wanted.args:
            query = JOBS.select(J.state, fn.COUNT(J.n)).where(_one_of(self._matching(window)))
        else:
            query = self._checked((J.state, fn.COUNT(J.n)), window)
        return dict(self._db.execute(query.group_by(J.state)).fetchall())

    def _checked(self, columns: Sequence[Any], window: Sequence[int]) -> Any:
        query = JOBS.select(*columns).where(_one_of(window))
        for check in self._checks:
            query = query.where(check)
        return query


def _one_of(numbers: Sequence[int]) -> Any:
    # Spelt out: a statement takes few variables, and whole numbers harm nobody.
    return SQL(f"n IN ({','.join(map(str, numbers))})")


def _holds(text: str) -> Any:
    """Whether a text stands in the task's name or in an argument (there as JSON writes it)."""
    inside = json.dumps(text, ensure_ascii=False)[1:-1]
    return J.task.contains(text) | J.args.contains(inside) | J.kwargs.contains(inside)
