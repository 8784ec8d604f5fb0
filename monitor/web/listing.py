"""Lists of jobs from two sources: live jobs from the engine, ended ones from the history.

The history has every job, but shows a running one as queued, and may be a second late. Live states are therefore
read from the engine if it can apply the filter, and running jobs replace their rows of the history. The first letter
of a cursor names its source.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace

from duey.control.service import Control
from duey.errors import BadRequest, UnknownTask
from duey.model.job import BLOCKED, QUEUED, RETRYING, RUNNING, SCHEDULED, Job
from duey.monitor.history import Count, ErrorGroup, ErrorGroups, History, JobFilter, JobRow, JobRows
from duey.monitor.history.queries.search import ArgumentFilter

LIVE = (SCHEDULED, QUEUED, BLOCKED, RETRYING)
MOST_RUNNING = 500
PAGE, PAGES = 500, 20


class Listing:
    """Pages, counts and ids of jobs."""

    def __init__(self, control: Control, history: History) -> None:
        self._control, self._history = control, history
        self.reads = control.counts, control.workers, self._running_now  # to be read ahead

    def page(self, wanted: JobFilter, limit: int, cursor: str | None) -> JobRows:
        """Return a page of jobs, newest first. Raises BadRequest for a cursor of another list."""
        source, place = (cursor[0], cursor[1:]) if cursor else ("", None)
        if source not in ("", "e", "b"):
            raise BadRequest("the cursor is not valid for this list: start again without one")
        if wanted.state == RUNNING:
            return JobRows(tuple(self._running(wanted)[:limit]), None)
        if self._engine_can(wanted) and source != "b":
            with contextlib.suppress(UnknownTask):  # of such a task only the history knows the jobs
                live = self._control.jobs(wanted.state, wanted.task, None, limit, place)
                return JobRows(tuple(map(_row, live.jobs)), live.next and f"e{live.next}")
        rows = self._history.job_rows(self._searched(wanted), limit, place, deep=place is not None)
        return replace(self._with_live(rows, wanted), next=rows.next and f"b{rows.next}")

    def newest(self, wanted: JobFilter, most: int, cursor: str | None = None) -> JobRows:
        """Return as many jobs, newest first, read in pages. A filter that few match finds fewer, with a cursor."""
        rows: list[JobRow] = []
        for _ in range(PAGES):  # a filter that finds little takes long for each
            page = self.page(wanted, min(PAGE, most - len(rows)), cursor)
            rows += page.rows
            cursor = page.next
            if cursor is None or len(rows) >= most:
                break
        return replace(page, rows=tuple(rows))

    def counts(self, wanted: JobFilter) -> dict[str, Count]:
        """Return the number of jobs in each state."""
        counts = dict(self._history.state_counts(self._searched(replace(wanted, state=None))))
        if replace(wanted, state=None) == JobFilter():
            live = self._control.counts()
            counts.update(
                {
                    SCHEDULED: Count(live.scheduled),
                    QUEUED: Count(live.queued),
                    BLOCKED: Count(live.blocked),
                    RETRYING: Count(live.retrying),
                    RUNNING: Count(live.running),
                }
            )
            return counts
        running = len(self._running(wanted))
        counts[RUNNING] = Count(running)
        queued = counts.get(QUEUED, Count(0))
        counts[QUEUED] = queued if queued.capped else Count(max(0, queued.number - running))
        return counts

    def ids(self, wanted: JobFilter, limit: int, cursor: str | None = None) -> tuple[list[str], str | None]:
        """Return ids of jobs, for actions on all that match."""
        if wanted.state == RUNNING or self._engine_can(wanted):
            page = self.page(wanted, min(limit, MOST_RUNNING), cursor)
            # The engine has no `until`, so jobs that changed after the question are left out here.
            until = math.inf if wanted.until is None else wanted.until
            return [row.job.id for row in page.rows if row.changed_at <= until], page.next
        ids, after = self._history.job_ids(self._searched(wanted), limit, cursor[1:] if cursor else None)
        return ids, after and f"b{after}"

    def count(self, wanted: JobFilter) -> Count:
        """Return how many jobs match."""
        if wanted.state == RUNNING:
            return Count(len(self._running(wanted)))
        if replace(wanted, state=None, until=None) == JobFilter() and wanted.state in LIVE:
            return self.counts(JobFilter())[wanted.state]
        return self._history.count(self._searched(wanted))

    def _searched(self, wanted: JobFilter) -> JobFilter:
        """The filter as the history knows it, which has the jobs of renamed tasks under their present name."""
        return replace(wanted, task=self._control.known.searched(wanted.task)) if wanted.task else wanted

    def _engine_can(self, wanted: JobFilter) -> bool:
        # The engine does not search arguments. `until` is set only for actions (see ids).
        return wanted.state in LIVE and replace(wanted, state=None, task=None, until=None) == JobFilter()

    def _running(self, wanted: JobFilter) -> list[JobRow]:
        searched = self._searched(wanted)
        return [_row(job) for job in self._at_work() if _matches(job, searched)]

    def _at_work(self) -> list[Job]:
        """Return the running jobs. Their start times come from the workers, because the engine's list has none."""
        jobs = self._running_now()
        if not jobs:
            return []
        since = {run.job_id: run.started_at for each in self._control.workers() for run in each.running}
        return [_begun(job, since.get(job.id)) for job in jobs]

    def _running_now(self) -> Sequence[Job]:
        return self._control.jobs(RUNNING, None, None, MOST_RUNNING, None).jobs

    def _with_live(self, rows: JobRows, wanted: JobFilter) -> JobRows:
        """Replace queued jobs of the history that are running now."""
        if not any(row.job.state in (QUEUED, BLOCKED) for row in rows.rows):
            return rows
        running = {job.id: job for job in self._at_work()}
        shown = []
        for row in rows.rows:
            job = running.get(row.job.id)
            if job is None:
                shown.append(row)
            elif wanted.state is None:
                shown.append(replace(row, job=job))
        return replace(rows, rows=tuple(shown))


def newest_errors(
    history: History, state: str | None, task: str | None, text: str | None, most: int, cursor: str | None = None
) -> ErrorGroups:
    """Return as many error groups, the last seen first, read in pages."""
    found: list[ErrorGroup] = []
    while len(found) < most:
        page = history.error_groups(state, task, text, most - len(found), cursor)
        found += page.groups
        cursor = page.next
        if cursor is None:
            break
    return ErrorGroups(tuple(found), cursor)


def _begun(job: Job, at: float | None) -> Job:
    if at is None:
        return job
    wait_s = max(0.0, at - max(job.enqueued_at, job.eta or 0.0))
    return replace(job, started_at=at, wait_ms=wait_s * 1000)


def _row(job: Job) -> JobRow:
    changed = max(filter(None, (job.enqueued_at, job.started_at, job.finished_at)))
    return JobRow(0, job, changed)


def _matches(job: Job, wanted: JobFilter) -> bool:
    """Return whether a running job matches, by the rules of the history."""
    text = (wanted.text or "").lower()
    return (
        wanted.task in (None, job.task, job.qualname)
        and wanted.queue in (None, job.queue)
        and wanted.parent in (None, job.parent)
        and wanted.by in (None, job.by)
        and wanted.error_type is None
        and wanted.fingerprint is None
        and (not text or text in f"{job.id} {job.qualname} {job.args} {job.kwargs}".lower())
        and (wanted.since is None or (job.started_at or job.enqueued_at) >= wanted.since)
        and ArgumentFilter(wanted.args).fits(job.args, job.kwargs)
    )
