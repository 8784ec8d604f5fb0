"""Jobs in the history: pages, single jobs with attempts and timeline, counts, and deletion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee

from duey.errors import BadRequest, StateConflict, UnknownJob
from duey.model.job import BLOCKED, ENDED, QUEUED, Job, Page
from duey.monitor.history import plain
from duey.monitor.history.queries import CAP, Queries, views
from duey.monitor.history.queries.search import DEEP_ROWS, MANY, Search
from duey.monitor.history.queries.views import Names
from duey.monitor.history.recording.writing import ADD_MARK
from duey.monitor.history.schema import ENTRIES, JOBS
from duey.monitor.history.values import Attempt, Count, JobFilter, JobHistory, JobRow, JobRows
from duey.payload.plain import LISTED

J, E = JOBS.c, ENTRIES.c
MAX_PAGE = 500
MAX_IDS = 5_000
MAX_CAP = 100_000
MAX_CHILDREN = 50
MAX_WAITING = 20_000
MAX_ENTRIES = 100


class Jobs(Queries):
    """Reads and deletes jobs."""

    def job(self, job_id: str) -> Job:
        """Return a job as of its last recorded event. Raises duey.errors.UnknownJob."""
        with self._database.reading() as db:
            return views.job(_one(db, job_id), Names(db))

    def jobs(
        self,
        state: str | None = None,
        task: str | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        by: str | None = None,
    ) -> Page:
        """The same as Control.jobs, over the whole history. Ask the control for live states."""
        found = self.job_rows(JobFilter(state=state, task=task, text=q, by=by), limit, cursor)
        return Page(tuple(row.job for row in found.rows), found.next)

    def job_rows(self, wanted: JobFilter, limit: int = 50, cursor: str | None = None, deep: bool = False) -> JobRows:
        """Return a page of jobs, newest first, at most `limit` (1 to 500). `deep` searches 25 times as many jobs."""
        with self._database.reading() as db:
            names = Names(db)
            search = Search(db, _cleaned(wanted), names, DEEP_ROWS if deep else None)
            found = search.find(max(1, min(limit, MAX_PAGE)), _below(cursor))
            rows = job_rows(db, found.numbers, names)
            oldest = None
            if found.resume is not None:
                looked_at = JOBS.select(J.enqueued_at).where(J.n >= found.resume).order_by(J.n).limit(1)
                oldest = looked_at.scalar(db)
            return JobRows(rows, _cursor(found.resume), oldest)

    def job_ids(self, wanted: JobFilter, limit: int = 500, cursor: str | None = None) -> tuple[list[str], str | None]:
        """Return (ids, next cursor or None) of matching jobs, at most `limit` (1 to 5,000) ids."""
        with self._database.reading() as db:
            search = Search(db, _cleaned(wanted), Names(db))
            found = search.find(max(1, min(limit, MAX_IDS)), _below(cursor))
            ids: dict[int, str] = {}
            for i in range(0, len(found.numbers), MAX_PAGE):
                some = JOBS.select(J.n, J.id).where(J.n.in_(found.numbers[i : i + MAX_PAGE]))
                ids.update(some.tuples().execute(db))
            return [ids[n] for n in found.numbers if n in ids], _cursor(found.resume)

    def count(self, wanted: JobFilter, cap: int = CAP) -> Count:
        """Return how many jobs match, counted up to `cap`. Without an index only some jobs are searched (capped)."""
        with self._database.reading() as db:
            return Search(db, _cleaned(wanted), Names(db)).count(max(1, min(cap, MAX_CAP)))

    def state_counts(self, wanted: JobFilter | None = None) -> dict[str, Count]:
        """Return the number of matching jobs by state (duey.model.job.STATES). The state of the filter is ignored."""
        with self._database.reading() as db:
            return Search(db, _cleaned(wanted or JobFilter(), state=None), Names(db)).count_states(CAP)

    def waiting_by_task(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how many jobs of which task are queued or run, and how many are blocked, as last recorded, among
        the newest MAX_WAITING."""
        with self._database.reading() as db:
            rows = db.execute_sql(WAITING, (MAX_WAITING,)).fetchall()
        queued, blocked = ({task: n for task, state, n in rows if state == each} for each in (QUEUED, BLOCKED))
        return queued, blocked

    def failed_since(self, at: float) -> Count:
        """Return how many jobs failed after `at` and are still failed."""
        with self._database.reading() as db:
            row = db.execute_sql(FAILED_SINCE, (at, CAP + 1)).fetchone()
        return Count(min(row[0], CAP), row[0] > CAP)

    def job_history(self, job_id: str) -> JobHistory:
        """Return a job with attempts, timeline and children. Raises duey.errors.UnknownJob."""
        with self._database.reading() as db:
            row, names = _one(db, job_id), Names(db)
            entries = _entries(db, row)
            children = Search(db, JobFilter(parent=job_id), names).find(MAX_CHILDREN)
            return JobHistory(
                views.job_row(row, names),
                views.attempts(row, entries),
                views.timeline(row, entries),
                job_rows(db, children.numbers, names),
            )

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        """Return the attempts of a job, newest first, at most the last 100. Raises duey.errors.UnknownJob."""
        with self._database.reading() as db:
            row = _one(db, job_id)
            return views.attempts(row, _entries(db, row))

    def forget(self, job_id: str) -> None:
        """Delete an ended job from the history. Figures and error groups keep their counts.

        Raises duey.errors.UnknownJob or duey.errors.StateConflict.
        """
        with self._database.writing() as db:
            row = _one(db, job_id)
            if row["state"] not in ENDED:
                raise StateConflict(job_id, "delete", row["state"])
            ENTRIES.delete().where(E.job == row["n"]).execute(db)
            JOBS.delete().where(J.n == row["n"]).execute(db)
            db.execute_sql(ADD_MARK, ("jobs", -1))


# By state, because the index of a state is short where nothing waits.
WAITING = """SELECT task, state, COUNT(*) FROM (
    SELECT task, state FROM jobs WHERE state IN ('queued', 'blocked') ORDER BY n DESC LIMIT ?) AS newest
    GROUP BY task, state"""
FAILED_SINCE = """SELECT COUNT(*) FROM (
    SELECT 1 FROM jobs WHERE state = 'failed' AND finished_at > ? LIMIT ?) AS found"""


def _one(db: peewee.Database, job_id: str) -> dict[str, Any]:
    row = JOBS.select().where(J.id == plain.text(job_id)).first(db)
    if row is None:
        raise UnknownJob(job_id)
    return dict(row)


def job_rows(db: peewee.Database, numbers: Sequence[int], names: Names) -> tuple[JobRow, ...]:
    """Return the jobs with these numbers, in this order, with long values cut. Deleted jobs are left out."""
    rows = {row["n"]: row for row in JOBS.select().where(J.n.in_(list(numbers))).execute(db)} if numbers else {}
    return tuple(views.job_row(rows[n], names, LISTED) for n in numbers if n in rows)


def _entries(db: peewee.Database, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the last entries of a job, oldest first."""
    if not row["entries"]:
        return []
    query = ENTRIES.select().where(E.job == row["n"]).order_by(E.at.desc(), E.n.desc()).limit(MAX_ENTRIES)
    return list(reversed(list(query.execute(db))))


def _cleaned(wanted: JobFilter, **changes: Any) -> JobFilter:
    """Return the filter with its texts cleaned in the same way as stored texts."""
    texts = {name: plain.text(value) for name, value in vars(wanted).items() if isinstance(value, str)}
    args = tuple((plain.text(key), plain.text(prefix)) for key, prefix in wanted.args)
    return JobFilter(**{**vars(wanted), **texts, "args": args, **changes})


def _cursor(resume: int | None) -> str | None:
    return None if resume is None else str(resume)


def _below(cursor: str | None) -> int:
    if cursor is None:
        return MANY
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadRequest("the cursor is not valid: start again without one")
    return int(cursor)
