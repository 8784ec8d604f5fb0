"""The log of a job: the lines of its ended attempts from the history, and those of the running one from the storage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

from duey import errors
from duey.control.service import Control
from duey.model.job import ENDED, Job
from duey.model.log_lines import LogLine, Numbered, shown, with_marks
from duey.payload.plain import IN_LIST

PAGE_LINES = 2_000


class History(Protocol):
    """The part of duey.monitor.history.History that is needed here."""

    def job_history(self, job_id: str) -> Any: ...


class LogPage(NamedTuple):
    """Some lines, oldest first. `next`: the position after them, in microseconds since 1970. `more`: others are there
    already. `ended`: the job has ended. `complete`: it has, and no line follows."""

    lines: Sequence[LogLine]
    next: int
    more: bool
    ended: bool
    complete: bool


def shown_lines(numbered: Sequence[Numbered]) -> list[LogLine]:
    """Lines of a running body as they are shown."""
    return [shown(line) for line in with_marks(numbered)]


def read_log(control: Control, history: History, job_id: str, after: int = 0) -> LogPage:
    """The lines after a position, at most PAGE_LINES. Raises UnknownJob.

    A position is an instant, which all lines of a job share if the clocks of its workers agree. While the history does
    not have the attempt before the running one, no line of the running one is returned, so that none is passed over.
    """
    job: Job | None = None
    past: Any = None
    live: list[LogLine] = []
    with suppress(errors.UnknownJob):
        with control.storage.read_ahead(partial(control.job, job_id, IN_LIST)):
            job, stored = control.job(job_id, IN_LIST), control.storage.get_job(job_id)
        if stored is not None and stored.place == "claimed":
            live = shown_lines(control.storage.log_of(stored.token))
    try:
        past = history.job_history(job_id)
    except errors.UnknownJob:
        if job is None:
            raise
    lines = [line for attempt in reversed(past.attempts) for line in attempt.logs] if past else []
    recorded = past.row.job if past else None
    if job is not None and job.attempt <= (recorded.attempt if recorded else 0):
        known = {(line.at, line.text) for line in lines}  # it may have ended between the two looks
        lines += [line for line in live if (line.at, line.text) not in known]
    found = [line for line in lines if position_of(line) > after]
    page = found[:PAGE_LINES]
    ended = (job.state if job is not None else recorded.state if recorded else "") in ENDED
    more = len(found) > len(page)
    is_recorded = recorded is not None and (job is None or _is_same(recorded, job))
    return LogPage(page, max([after, *map(position_of, page)]), more, ended, ended and is_recorded and not more)


def position_of(line: LogLine) -> int:
    """The position of a line."""
    return round(line.at * 1e6)


def _is_same(recorded: Job, job: Job) -> bool:
    return recorded.state == job.state and abs((recorded.finished_at or 0.0) - (job.finished_at or 0.0)) < 0.001
