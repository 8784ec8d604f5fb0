"""Reads the history: jobs, error groups, figures, what was last seen, and the status of the file."""

from __future__ import annotations

from collections.abc import Callable

from duey.monitor.history.database import Database

CAP = 10_000  # larger counts are shown as `10k+`


class Queries:
    """Queries on one database. Each may raise HistoryUnavailable. `clock` returns UTC epoch seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
