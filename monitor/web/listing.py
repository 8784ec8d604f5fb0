"""Lists of jobs out of two sources: what is live stands with the engine, what has ended in the history.

The history holds every job, but what runs stands there as queued, and a second may pass until they know of a change. So
the live states are asked of the engine, where it can answer the filter, and running jobs are laid over the rest.
A cursor carries the letter of its source.
"""

from __future__ import annotations

import math
from dataclasses import replace

from duey.control.service import Control
from duey.errors import BadRequest, UnknownTask
from duey.model.job import BLOCKED, QUEUED, RETRYING, RUNNING, SCHEDULED, Job
from duey.monitor.history import Count, History, JobFilter, JobRow, JobRows

LIVE = (SCHEDULED, QUEUED, BLOCKED, RETRYING)
MOST_RUNNING = 500


class Listing:
    """Pages, counts and ids of jobs."""

    def __init__(self, control: Control, history: History) -> None:
        self._control, self._history = control, history

    def page(self, wanted: JobFilter, limit: int, cursor: str | None) -> JobRows:
        """Newest first. A cursor that is not of this list is a BadRequest."""
        source, place = (cursor[0], cursor[1:]) if cursor else ("", None)
        if source not in ("", "e", "b"):
            raise BadRequest("the cursor is not one that this list gave: begin without it")
        if wanted.state == RUNNING:
            return JobRows(tuple(self._running(wanted)[:limit]), None)
        if self._engine_can(wanted) and source != "b":
            try:
                live = self._control.jobs(wanted.state, wanted.task, None, limit, place)
                return JobRows(tuple(map(_row, live.jobs)), live.next and f"e{live.next}")
            except UnknownTask:
                return JobRows((), None)
        rows = self._history.job_rows(wanted, limit, place)
        return replace(self._with_live(rows, wanted), next=rows.next and f"b{rows.next}")

    def counts(self, wanted: JobFilter) -> dict[str, Count]:
        """How many there are in each state."""
        counts = dict(self._history.state_counts(replace(wanted, state=None)))
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
        """Ids alone, for verbs on all that match."""
        if wanted.state == RUNNING or self._engine_can(wanted):
            page = self.page(wanted, min(limit, MOST_RUNNING), cursor)
            # The engine knows no `until`: what came after the question was not meant by it.
            until = math.inf if wanted.until is None else wanted.until
            return [row.job.id for row in page.rows if row.changed_at <= until], page.next
        ids, after = self._history.job_ids(wanted, limit, cursor[1:] if cursor else None)
        return ids, after and f"b{after}"

    def count(self, wanted: JobFilter) -> Count:
        """How many match."""
        if wanted.state == RUNNING:
            return Count(len(self._running(wanted)))
        if replace(wanted, state=None, until=None) == JobFilter() and wanted.state in LIVE:
            return self.counts(JobFilter())[wanted.state]
        return self._history.count(wanted)

    def _engine_can(self, wanted: JobFilter) -> bool:
        # Text the engine would not search in arguments; until is set for a list that is acted on (see ids).
        return wanted.state in LIVE and replace(wanted, state=None, task=None, until=None) == JobFilter()

    def _running(self, wanted: JobFilter) -> list[JobRow]:
        return [_row(job) for job in self._at_work() if _matches(job, wanted)]

    def _at_work(self) -> list[Job]:
        """What runs. Since when, the list of the engine does not tell, but its workers do."""
        jobs = self._control.jobs(RUNNING, None, None, MOST_RUNNING, None).jobs
        if not jobs:
            return []
        since = {run.job_id: run.started_at for each in self._control.workers() for run in each.running}
        return [_begun(job, since.get(job.id)) for job in jobs]

    def _with_live(self, rows: JobRows, wanted: JobFilter) -> JobRows:
        """What the history calls queued may run by now, and is shown as it is."""
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


def _begun(job: Job, at: float | None) -> Job:
    if at is None:
        return job
    wait_s = max(0.0, at - max(job.enqueued_at, job.eta or 0.0))
    return replace(job, started_at=at, wait_ms=wait_s * 1000)


def _row(job: Job) -> JobRow:
    changed = max(filter(None, (job.enqueued_at, job.started_at, job.finished_at)))
    return JobRow(0, job, changed)


def _matches(job: Job, wanted: JobFilter) -> bool:
    """Whether a running job is asked for, by the rules of the history."""
    text = (wanted.text or "").lower()
    values = {**{str(n): value for n, value in enumerate(job.args)}, **job.kwargs}
    return (
        wanted.task in (None, job.task, job.qualname)
        and wanted.queue in (None, job.queue)
        and wanted.parent in (None, job.parent)
        and wanted.by in (None, job.by)
        and wanted.error_type is None
        and wanted.fingerprint is None
        and (not text or text in f"{job.id} {job.qualname} {job.args} {job.kwargs}".lower())
        and (wanted.since is None or (job.started_at or job.enqueued_at) >= wanted.since)
        and all(str(values.get(key, "")).startswith(prefix) for key, prefix in wanted.args)
    )
