"""Jobs and errors as CSV, with the filter of their pages, for spreadsheets. `duey jobs --csv` has more fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from duey.model.job import Job
from duey.monitor.access.export import csv_row
from duey.monitor.web.display.formats import rfc3339
from duey.monitor.web.forms.filters import read_filter
from duey.monitor.web.listing import Listing, newest_errors
from duey.monitor.web.pages.errors import TABS
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import File, Route, get
from duey.monitor.web.services import Services

LINES = 5_000  # takes about half a second
JOBS = (
    "id", "task", "qualname", "state", "queue", "priority", "by", "enqueued_at", "eta", "started_at", "finished_at",
    "wait_ms", "run_ms", "attempt", "retries_left", "crashes", "worker", "parent", "reason", "args", "kwargs",
)  # fmt: skip
ERRORS = (
    "fingerprint", "type", "message", "task", "qualname", "state", "count", "first_seen", "last_seen", "last_job_id",
    "last_day", "last_week", "regressed_at",
)  # fmt: skip
TIMES = frozenset({"enqueued_at", "eta", "started_at", "finished_at", "first_seen", "last_seen", "regressed_at"})


class CsvFiles:
    """GET /jobs.csv, /errors.csv."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [get("/jobs.csv", self.jobs), get("/errors.csv", self.errors)]

    def jobs(self, request: Request) -> File:
        """The newest jobs that match."""
        asked = read_filter(request.query, request.now)
        if asked.problems:
            raise Refusal(422, asked.problems[0])
        listing = Listing(self._services.control, self._services.history)
        found = [row.job for row in listing.newest(asked.wanted, LINES).rows]
        return _file("jobs.csv", (*JOBS, "error_type", "error_message"), map(_job, found))

    def errors(self, request: Request) -> File:
        """The error groups of a tab, the last seen first."""
        query = request.query
        state, task, text = query.get("state") or "open", query.get("task")[:200], query.get("q")[:200]
        if state not in dict(TABS):
            raise Refusal(422, f"expected a state of {', '.join(dict(TABS))}, found {state[:40]!r}")
        wanted = None if state == "all" else state
        found = newest_errors(self._services.history, wanted, task or None, text or None, LINES).groups
        names = [name.removesuffix("_id") for name in ERRORS]  # as in the API
        return _file("errors.csv", names, (_fields(each, ERRORS) for each in found))


def _job(job: Job) -> list[Any]:
    error = job.error
    return [*_fields(job, JOBS), error.type if error else None, error.message if error else None]


def _fields(value: Any, names: Sequence[str]) -> list[Any]:
    shown = ((name, getattr(value, name)) for name in names)
    return [
        rfc3339(each) if name in TIMES else json.dumps(each) if isinstance(each, (list, dict)) else each
        for name, each in shown
    ]


def _file(name: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> File:
    text = "".join(map(csv_row, (names, *rows)))
    return File(name, "text/csv; charset=utf-8", text.encode("utf-8", "replace"))
