"""Searches jobs: a filter becomes streams, which an index serves, and checks of each row.

A stream is a condition whose matches an index returns from the newest on. Several streams are merged. Conditions
without an index (text, arguments, times) are checked row by row in growing windows, until the page is full or
SCAN_ROWS rows were checked. Then the page ends, however few jobs it has, and its cursor continues from there, so
that no filter is slow. New rows do not disturb paging, because the number of a job never changes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import peewee
from peewee import SQL, fn

from duey.model.job import DEFAULT_QUEUE, STATES
from duey.monitor.history import plain
from duey.monitor.history.queries.views import Names
from duey.monitor.history.schema import JOBS
from duey.monitor.history.values import Count, JobFilter

J = JOBS.c
SCAN_ROWS = 6_000  # about 15 ms
DEEP_ROWS = 25 * SCAN_ROWS
WINDOWS = (200, 1_000, 4_000)
MANY = 2**62  # larger than every number
SHORT_ID_CHARS = 8  # texts of this length or more may be the beginning of an id
SHORT_ID_MATCHES = 100
SAME_NAMES = 50  # SQLite merges at most 500 streams
OF_STATE = "SELECT 1 FROM jobs WHERE state = ? LIMIT ?"
OF_TASK = "SELECT 1 FROM jobs WHERE task = ? AND state = ? LIMIT ?"
STREAM = """SELECT n FROM (
    SELECT n FROM jobs WHERE task = ? AND state = ? AND n < ? ORDER BY n DESC LIMIT ?) AS stream"""


class Found(NamedTuple):
    """Numbers of jobs, newest first. `resume` is the number below which to continue, or None at the end."""

    numbers: list[int]
    resume: int | None


class Window(NamedTuple):
    """Candidates are the jobs in the streams from number `first` up to `below`."""

    first: int
    below: int


class Search:
    """One search for one filter on one connection."""

    def __init__(self, db: peewee.Database, wanted: JobFilter, names: Names, scan_rows: int | None = None) -> None:
        self._db, self._wanted, self._names = db, wanted, names
        self._scan_rows = SCAN_ROWS if scan_rows is None else scan_rows
        self._arguments = ArgumentFilter(wanted.args)
        self._scope, self._pairs, self._checks = self._split()
        self._looked_down_to: int | None = None  # where the last search stopped early, or None

    def find(self, limit: int, below: int = MANY) -> Found:
        """Return the newest `limit` matches below a number."""
        if self._is_exact:
            numbers = self._newest(below, limit + 1)
            return Found(numbers[:limit], numbers[limit - 1] if len(numbers) > limit else None)
        numbers = []
        for window in self._windows(below):
            numbers += [row[0] for row in self._passing(window, J.n)]
            if len(numbers) > limit:
                return Found(numbers[:limit], numbers[limit - 1])
        return Found(numbers, self._looked_down_to)

    def count(self, cap: int) -> Count:
        """Return how many jobs match. If the search stops early, the count is capped."""
        if self._is_exact:
            number = self._size(cap + 1)
        else:
            number = 0
            for window in self._windows(MANY):
                number += sum(self._states_of(window).values())
                if number > cap:
                    break
        return Count(min(number, cap), number > cap or self._looked_down_to is not None)

    def count_states(self, cap: int) -> dict[str, Count]:
        """Return the same as `count`, for each state."""
        counted = dict.fromkeys(STATES, 0)
        found: Iterable[tuple[str, int]]
        if self._is_exact and self._is_by_state:
            found = self._sizes(cap + 1)
        else:
            found = chain.from_iterable(self._states_of(window).items() for window in self._windows(MANY))
        for state, number in found:
            counted[state] += number
        ended_early = self._looked_down_to is not None
        return {state: Count(min(number, cap), number > cap or ended_early) for state, number in counted.items()}

    # the filter as streams and checks

    @property
    def _is_exact(self) -> bool:
        """Whether the streams alone give the answer, without checks."""
        return not self._checks and not self._wanted.args

    def _split(self) -> tuple[list[Any], list[tuple[str, str]], list[Any]]:
        """Return conditions that hold in all streams and nowhere else, the (task, state) of the streams if there are
        several, and the checks."""
        wanted = self._wanted
        checks = self._arguments.checks()
        scope: list[Any] = []
        pairs: list[tuple[str, str]] = []
        states = [wanted.state] if wanted.state else []

        def take(condition: Any) -> None:
            """Use the first condition, which is the narrowest, as the stream, and the others as checks."""
            (checks if scope else scope).append(condition)

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
            # As SQL text, because SQLite uses the partial index only if its condition is in the query.
            take((J.queue == wanted.queue) & SQL("queue <> 'default'"))
        elif wanted.queue:
            checks.append(J.queue == wanted.queue)
        if wanted.task:
            tasks = self._names.find(wanted.task)
            if scope:
                checks.append(J.task.in_(tasks))
            else:
                scope += [J.task.in_(tasks), J.state.in_(states or STATES)]
                if len(tasks) <= SAME_NAMES:
                    pairs = [(task, state) for task in tasks for state in states or STATES]
                states = []
        for state in states:
            take(J.state == state)
        if wanted.by:
            checks.append(J.by == wanted.by)
        if wanted.since is not None:
            checks.append(J.changed_at >= wanted.since)
        if wanted.until is not None:
            checks.append(J.changed_at < wanted.until)
        return scope, pairs, checks

    def _by_id(self, text: str) -> Any:
        """Return the condition for one id or for a beginning of ids, or None if the text is neither."""
        if JOBS.select(J.n).where(J.id == text).limit(1).count(self._db):
            return J.id == text
        if len(text) < SHORT_ID_CHARS:
            return None
        beginning = (J.id >= text) & (J.id < text + "\U0010ffff")
        found = JOBS.select(J.n).where(beginning).limit(SHORT_ID_MATCHES + 1).tuples().execute(self._db)
        numbers = [row[0] for row in found]
        return _one_of(numbers) if 0 < len(numbers) <= SHORT_ID_MATCHES else None

    # reading

    def _windows(self, below: int) -> Iterator[Window]:
        """Yield windows of growing sizes, newest first. Then `_looked_down_to` is where it stopped early, or None."""
        self._looked_down_to = None
        sizes = iter(WINDOWS)
        scanned = 0
        while scanned < self._scan_rows:
            size = min(next(sizes, WINDOWS[-1]), self._scan_rows - scanned)
            last = self._newest(below, 1, size - 1)
            yield Window(last[0] if last else 0, below)
            if not last:
                return
            below, scanned = last[0], scanned + size
        self._looked_down_to = below

    def _newest(self, below: int, limit: int, offset: int = 0) -> list[int]:
        """Return numbers in the streams, newest first."""
        if len(self._pairs) > 1:  # in one statement, and of each stream only as much as is needed
            sql = f"{' UNION ALL '.join([STREAM] * len(self._pairs))} ORDER BY n DESC LIMIT ? OFFSET ?"
            values = [value for pair in self._pairs for value in (*pair, below, offset + limit)]
            return [row[0] for row in self._db.execute_sql(sql, (*values, limit, offset)).fetchall()]
        query = JOBS.select(J.n).where(J.n < below, *self._scope).order_by(J.n.desc())
        return [row[0] for row in self._db.execute(query.limit(limit).offset(offset)).fetchall()]

    @property
    def _is_by_state(self) -> bool:
        """Whether there is a stream for each state, so that the index of states counts."""
        return bool(self._pairs) or not self._scope

    def _sizes(self, limit: int) -> list[tuple[str, int]]:
        """Return the state of each stream and how many jobs it has, counted up to `limit`, in one statement."""
        keys: list[tuple[str, ...]] = [*self._pairs] or [(state,) for state in STATES]
        stream = OF_TASK if self._pairs else OF_STATE
        parts = [f"SELECT {n}, COUNT(*) FROM ({stream}) AS found" for n in range(len(keys))]
        values = [value for key in keys for value in (*key, limit)]
        rows = self._db.execute_sql(" UNION ALL ".join(parts), values).fetchall()
        return [(keys[n][-1], number) for n, number in rows]

    def _size(self, limit: int) -> int:
        if self._is_by_state:
            return sum(number for _, number in self._sizes(limit))
        return int(JOBS.select(J.n).where(*self._scope).limit(limit).count(self._db))

    def _states_of(self, window: Window) -> dict[str, int]:
        """Return how many candidates pass the checks, by state."""
        if self._wanted.args:
            return Counter(row[0] for row in self._passing(window, J.state))
        query = self._checked((J.state, fn.COUNT(J.n)), window)
        return dict(self._db.execute(query.group_by(J.state)).fetchall())

    def _passing(self, window: Window, column: Any) -> Iterator[Any]:
        """Yield rows of the candidates that pass the checks, newest first, which begin with this column."""
        columns = (column, J.args, J.kwargs, J.names) if self._wanted.args else (column,)
        for row in self._db.execute(self._checked(columns, window).order_by(J.n.desc())).fetchall():
            if len(row) == 1 or self._arguments.matches(*row[1:]):
                yield row

    def _checked(self, columns: Sequence[Any], window: Window) -> Any:
        return JOBS.select(*columns).where(J.n >= window.first, J.n < window.below, *self._scope, *self._checks)


def _one_of(numbers: Sequence[int]) -> Any:
    # As SQL text, because the number of variables in a statement is limited. Integers are safe.
    return SQL(f"n IN ({','.join(map(str, numbers))})")


def _holds(text: str) -> Any:
    """Return the condition that the text is part of the task's name or of an argument (as JSON)."""
    inside = json.dumps(text, ensure_ascii=False)[1:-1]
    return J.task.contains(text) | J.args.contains(inside) | J.kwargs.contains(inside)


J = JOBS.c


class ArgumentFilter:
    """The filter `args.KEY:prefix`. A job matches if all pairs (key, beginning of the value) match.

    A key is the name of a keyword argument, the name of a parameter (if the event has the names), or a position (`0`).
    After it may follow keys and positions inside of the value (`order.items.0.sku`). Texts are compared as they are,
    other values as their JSON. Case is ignored.
    """

    def __init__(self, wanted: Sequence[tuple[str, str]]) -> None:
        self._wanted = [(key, prefix.lower()) for key, prefix in wanted]

    def checks(self) -> list[Any]:
        """Return SQL conditions that every match fulfils. They are faster than `matches`, but let more jobs through."""
        found = []
        for _, prefix in self._wanted:
            if prefix:
                # Prefixes that begin a list or an object are left out, because the stored JSON may have other spaces.
                inside = json.dumps(prefix, ensure_ascii=False)[1:-1]
                if prefix.isascii() and prefix[0] not in "[{":
                    found.append(J.args.contains(inside) | J.kwargs.contains(inside))
        return found

    def matches(self, args: str | None, kwargs: str | None, names: str | None) -> bool:
        """Return whether a job with these columns matches."""
        positional = plain.decode(args, [])
        named = dict(zip(map(str, plain.decode(names, [])), positional, strict=False))
        return self.fits(positional, plain.decode(kwargs, {}), named)

    def fits(self, positional: list[Any], keyword: dict[str, Any], named: dict[str, Any] | None = None) -> bool:
        """Return whether these arguments match. `named`: those of `positional` by the names of their parameters."""
        for key, prefix in self._wanted:
            first, *path = key.split(".")
            places = [(keyword, [key]), (keyword, [first, *path]), (named or {}, [first, *path])]
            values = [value for holder, way in (*places, (positional, [first, *path])) for value in _at(holder, way)]
            if not any(_text(value).lower().startswith(prefix) for value in values):
                return False
        return True


def _at(holder: Any, path: list[str]) -> list[Any]:
    """Return the value at a path of keys and positions, in a list, which is empty if there is none."""
    for key in path:
        if isinstance(holder, dict) and key in holder:
            holder = holder[key]
        elif isinstance(holder, list) and key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(holder):
            holder = holder[int(key)]
        else:
            return []
    return [holder]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
