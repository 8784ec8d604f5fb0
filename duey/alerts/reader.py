"""Reads the snapshot of one evaluation: what was recorded since the last one, and how the service is now.

The history is read from the number of the entry at which the last evaluation ended: an entry is found once, however
late its event was recorded. Everything else is a small number of rows by index, whatever the size of the history.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import peewee

from duey.alerts.incidents import SINCE, Marks
from duey.alerts.live_reader import LiveReader
from duey.alerts.peers import PeerSeen
from duey.alerts.rules.finding import Fact, Finding
from duey.alerts.rules.snapshot import EACH, GROUP, Away, Deaths, ErrorSeen, FailedJob, Snapshot
from duey.config.alerts import Alerts
from duey.errors import UnknownJob
from duey.model.job import SCHEDULE
from duey.monitor.history import History
from duey.monitor.history.queries.views import Names
from duey.monitor.history.schema import HOUR_S
from duey.recipes import Refused, backup_set
from duey.tasks.drill import TASK

ENTRIES = 20_000  # at most so many are read in one evaluation; the next one goes on
EACH_JOBS = 200  # of tasks with alert="each" that are told one by one while as many incidents of them are open

TALLY = """SELECT fingerprint, COUNT(*), MIN(at), MAX(n), COUNT(CASE WHEN kind = 'failed' THEN 1 END) FROM entries
    WHERE n > ? AND n <= ? AND (fingerprint IS NOT NULL OR kind IN ('rescued', 'died')) GROUP BY fingerprint"""
GROUPS = """SELECT g.type, g.message, g.task, g.state, g.count, g.last_seen, g.regressed_at, g.last_job_id,
    CASE WHEN j.parent IS NULL THEN j.by END FROM error_groups g LEFT JOIN jobs j ON j.id = g.last_job_id
    WHERE g.fingerprint = ?"""
IN_AN_HOUR = "SELECT COUNT(*) FROM (SELECT 1 FROM entries WHERE fingerprint = ? AND at > ? LIMIT ?) AS found"
FAILED = """SELECT j.id, j.task, e.error_type, e.error_message, e.at FROM entries e JOIN jobs j ON j.n = e.job
    WHERE e.n > ? AND e.n <= ? AND e.kind = 'failed' AND j.task = ? ORDER BY e.n LIMIT ?"""
JOB = "SELECT id, task, error_type, error_message, finished_at, state FROM jobs WHERE id = ?"
DEATH = """SELECT COALESCE(e.reason, ''), COALESCE(j.task, ''), COALESCE(j.id, '') FROM entries e
    LEFT JOIN jobs j ON j.n = e.job WHERE e.n = ?"""


class Reader:
    """Reads one snapshot after the other. `alerts_of` returns the option `alert` of tasks that set one, by full name.
    `problem` returns why nothing is recorded, if the recorder of this process knows. `runbook` returns that of a task
    by its full name, or ''."""

    def __init__(
        self, history: History, live: LiveReader, options: Alerts, alerts_of: Callable[[], Mapping[str, str]],
        folders: Sequence[Path], backups: Path | None = None, problem: Callable[[], str] = lambda: "",
        peers: Callable[[], tuple[PeerSeen, ...] | None] = lambda: (), runbook: Callable[[str], str] = lambda task: "",
    ) -> None:  # fmt: skip
        self._history, self._live, self._options, self._alerts_of = history, live, options, alerts_of
        self._folders, self._backups, self._problem, self._peers = folders, backups, problem, peers
        self._runbook = runbook

    def read(self, marks: Marks, open_subjects: Mapping[str, float], now: float) -> Snapshot:
        """Return the snapshot. Raises HistoryUnavailable."""
        with self._history.database.reading() as db:
            newest = db.execute_sql("SELECT MAX(n) FROM entries").fetchone()[0] or 0
            first = marks.entry if marks.entry <= newest else newest  # the newest entries were deleted
            last = min(newest, first + ENTRIES)
            errors, deaths = self._errors(db, first, last, open_subjects, now)
            failed, is_flood = self._failed(db, first, last, errors, open_subjects)
            if is_flood:  # they are told by cause
                errors = tuple(each._replace(alert=GROUP) if each.alert == EACH else each for each in errors)
            live = self._live.read(db, now, marks.recorded_at)
        known, away = (None, live) if isinstance(live, Away) else (live, None)
        return Snapshot(
            now, marks.since, last, errors, failed, deaths, known, away, self._disks(), self._problem(), self._peers(),
            max(filter(None, (self._backup(), marks.backup_at)), default=None), open_subjects,
        )  # fmt: skip

    def _errors(
        self, db: peewee.Database, first: int, last: int, open_subjects: Mapping[str, float], now: float
    ) -> tuple[tuple[ErrorSeen, ...], Deaths]:
        tallies: dict[str, tuple[int, int, float]] = {}
        deaths = Deaths()
        for fingerprint, count, first_at, n, ended in db.execute_sql(TALLY, (first, last)).fetchall():
            if fingerprint is not None:
                tallies[fingerprint] = (count, ended, first_at)
            else:
                deaths = Deaths(count, *db.execute_sql(DEATH, (n,)).fetchone())
        wanted = {*tallies, *(each[6:] for each in open_subjects if each.startswith("error "))}
        if not wanted:
            return (), deaths
        names, alerts = Names(db), self._alerts_of()
        limit = self._options.error_rate_per_hour
        found = []
        for fingerprint in sorted(wanted):
            row = db.execute_sql(GROUPS, (fingerprint,)).fetchone()
            if row is None:  # retention deleted it
                continue
            kind, message, task, state, total, last_seen, regressed_at, job_id, by = row
            failures, ended, first_at = tallies.get(fingerprint, (0, 0, 0.0))
            schedule = by.removeprefix(SCHEDULE) if by and by.startswith(SCHEDULE) else None
            hour = 0
            if limit is not None and failures:
                hour = db.execute_sql(IN_AN_HOUR, (fingerprint, now - HOUR_S, limit + 1)).fetchone()[0]
            found.append(
                ErrorSeen(
                    fingerprint, kind, message, names.short(task), state, alerts.get(task, GROUP), total, last_seen,
                    regressed_at, job_id, schedule, failures, ended, first_at, hour,
                )
            )  # fmt: skip
        return tuple(found), deaths

    def _failed(
        self, db: peewee.Database, first: int, last: int, errors: Sequence[ErrorSeen],
        open_subjects: Mapping[str, float],
    ) -> tuple[tuple[FailedJob, ...], bool]:  # fmt: skip
        """The jobs that are told one by one, and whether too many failed to tell the new ones so."""
        found: dict[str, FailedJob] = {}
        for subject in open_subjects:
            if subject.startswith("job "):
                job_id = subject[4:]
                row = db.execute_sql(JOB, (job_id,)).fetchone() or (job_id, "", "", "", 0.0, "")
                found[job_id] = _failed_job(*row[:5], is_new=False, is_failed=row[5] == "failed")
        new = sum(each.ended for each in errors if each.alert == EACH)
        is_flood = new > EACH_JOBS - len(found)
        if new:
            tasks = [task for task, alert in self._alerts_of().items() if alert == EACH]
            for task in [TASK] if is_flood else tasks:
                for row in db.execute_sql(FAILED, (first, last, task, EACH_JOBS)).fetchall():
                    found[row[0]] = _failed_job(*row, is_new=True)
        return tuple(found.values()), is_flood

    def explained(self, finding: Finding) -> Finding:
        """Return the finding with what helps to mend it, if it is about a job: the runbook of its task, and what
        differs from the last success. Raises HistoryUnavailable."""
        if not finding.job_id:
            return finding
        try:
            job = self._history.job(finding.job_id)
        except UnknownJob:
            return finding
        runbook, success = self._runbook(job.qualname), self._history.since_last_success(job.id)
        facts: list[Fact] = []
        if success is not None:
            facts = [(f"{SINCE}: {each.label}", f"{each.now} (was {each.before})") for each in success.differences]
        lines = (f"When it fails: {runbook}",) if runbook else ()
        return replace(finding, lines=finding.lines + lines, facts=(*finding.facts, *facts))

    # outside of the databases

    def _disks(self) -> tuple[tuple[str, int], ...]:
        found: dict[int, tuple[str, int]] = {}
        for folder in self._folders:
            with suppress(OSError):
                device = os.stat(folder).st_dev
                found.setdefault(device, (str(folder), shutil.disk_usage(folder).free))
        return tuple(found.values())

    def _backup(self) -> float | None:
        """When the newest complete backup of the nightly task ended, or None if there is none."""
        if self._backups is None:
            return None
        times = []
        with suppress(OSError):
            for day in sorted(self._backups.iterdir(), reverse=True)[:3]:
                with suppress(OSError, Refused):  # it was cut short, or is no backup
                    if backup_set.listed(day) is not None:
                        times.append(os.stat(day / backup_set.LIST).st_mtime)
        return max(times, default=None)


def _failed_job(
    id: str, task: str, kind: Any, message: Any, at: float | None, *, is_new: bool, is_failed: bool = True
) -> FailedJob:
    return FailedJob(id, task, f"{kind}: {message}", at or 0.0, is_new, is_failed)
