"""Error groups: failed attempts with the same cause (duey.monitor.history.recording.causes).

The first failed attempt opens a group. A user can mute it, and it is still counted, or mark it as fixed. If a fixed
group fails again, it is opened again and marked as regressed (duey.monitor.history.recording.writing).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import peewee

from duey.errors import BadRequest
from duey.monitor.history import plain
from duey.monitor.history.queries import Queries
from duey.monitor.history.queries.jobs import job_rows
from duey.monitor.history.queries.views import Names
from duey.monitor.history.schema import DAY_S, GROUPS, HOUR_S
from duey.monitor.history.values import Count, ErrorGroup, ErrorGroups, JobRow

G = GROUPS.c
OPEN, MUTED, FIXED = STATES = ("open", "muted", "fixed")
MAX_PAGE = 200
LAST_HOUR_CAP = 1000
WEEK_STEPS, STEP_HOURS = 28, 6

HOURS = "SELECT fingerprint, at, count FROM error_hours WHERE fingerprint IN ({}) AND at > ?"
# Of the newest attempts only, because a cause may have failed a hundred thousand times.
LAST_FAILED = """SELECT job FROM (SELECT job, at FROM entries WHERE fingerprint = ? ORDER BY at DESC LIMIT 200) AS last
    WHERE job > 0 GROUP BY job ORDER BY MAX(at) DESC LIMIT ?"""
IN_LAST_HOUR = """SELECT fingerprint, (SELECT COUNT(*) FROM (
    SELECT 1 FROM entries WHERE entries.fingerprint = error_groups.fingerprint AND at > ? LIMIT ?) AS found)
    FROM error_groups WHERE fingerprint IN ({})"""


class Groups(Queries):
    """Reads and marks error groups."""

    def error_groups(
        self,
        state: str | None = None,
        task: str | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ErrorGroups:
        """Return error groups, last seen first. `state`: open, muted or fixed. `q`: text in type or message."""
        limit = max(1, min(limit, MAX_PAGE))
        query = GROUPS.select()
        if cursor is not None:
            at, fingerprint = _read_cursor(cursor)
            query = query.where((G.last_seen < at) | ((G.last_seen == at) & (G.fingerprint < fingerprint)))
        if state is not None:
            query = query.where(G.state == state)
        if q:
            query = query.where(G.type.contains(plain.text(q)) | G.message.contains(plain.text(q)))
        with self._database.reading() as db:
            names = Names(db)
            if task is not None:
                query = query.where(G.task.in_(names.find(task)))
            query = query.order_by(G.last_seen.desc(), G.fingerprint.desc()).limit(limit + 1)
            rows = list(query.execute(db))
            shown = self._shown(db, rows[:limit], names)
        last = rows[limit - 1] if len(rows) > limit else None
        return ErrorGroups(shown, None if last is None else f"{last['last_seen']!r}_{last['fingerprint']}")

    def error_group(self, fingerprint: str) -> ErrorGroup | None:
        """Return an error group, or None if it does not exist."""
        with self._database.reading() as db:
            rows = list(GROUPS.select().where(G.fingerprint == plain.text(fingerprint)).execute(db))
            return self._shown(db, rows, Names(db))[0] if rows else None

    def failed_jobs(self, fingerprint: str, limit: int = 10) -> tuple[JobRow, ...]:
        """Return the jobs that failed last with this cause, in whatever state they are now, newest failure first."""
        with self._database.reading() as db:
            found = db.execute_sql(LAST_FAILED, (plain.text(fingerprint), limit)).fetchall()
            return job_rows(db, [row[0] for row in found], Names(db))

    def mark_group(self, fingerprint: str, state: str) -> ErrorGroup | None:
        """Set a group to `open`, `muted` or `fixed`, else ValueError; return it, or None if it does not exist.

        A fixed group that fails again is opened and gets `regressed_at`; a muted one stays muted.
        """
        if state not in STATES:
            raise ValueError(f"the state of an error group: expected {', '.join(STATES)}, found {state!r}")
        changes: dict[str, Any] = {"state": state, "fixed_at": self._clock() if state == FIXED else None}
        if state == FIXED:
            changes["regressed_at"] = None
        with self._database.writing() as db:
            GROUPS.update(**changes).where(G.fingerprint == plain.text(fingerprint)).execute(db)
        return self.error_group(fingerprint)

    def _shown(self, db: peewee.Database, rows: Sequence[dict[str, Any]], names: Names) -> tuple[ErrorGroup, ...]:
        if not rows:
            return ()
        now, these = self._clock(), [row["fingerprint"] for row in rows]
        marks = ",".join("?" * len(these))
        hours: dict[str, list[tuple[int, int]]] = {each: [] for each in these}
        for fingerprint, at, count in db.execute_sql(HOURS.format(marks), (*these, int(now - 8 * DAY_S))).fetchall():
            hours[fingerprint].append((at, count))
        sql = IN_LAST_HOUR.format(marks)
        last_hour = dict(db.execute_sql(sql, (now - HOUR_S, LAST_HOUR_CAP + 1, *these)).fetchall())
        return tuple(
            _group(row, names, now, hours[row["fingerprint"]], last_hour.get(row["fingerprint"], 0)) for row in rows
        )


def _group(
    row: dict[str, Any], names: Names, now: float, hours: Sequence[tuple[int, int]], last_hour: int
) -> ErrorGroup:
    steps = [0] * WEEK_STEPS
    last_day = last_week = 0
    this_hour = now // HOUR_S * HOUR_S
    for at, count in hours:
        hours_ago = max(0, int((this_hour - at) // HOUR_S))
        if hours_ago < WEEK_STEPS * STEP_HOURS:
            steps[-1 - hours_ago // STEP_HOURS] += count
            last_week += count
        if hours_ago < 24:
            last_day += count
    return ErrorGroup(
        fingerprint=row["fingerprint"], type=row["type"], message=row["message"], task=names.short(row["task"]),
        qualname=row["task"], frames=tuple(json.loads(row["frames"])), state=row["state"], count=row["count"],
        first_seen=row["first_seen"], last_seen=row["last_seen"], last_job_id=row["last_job_id"],
        last_hour=Count(min(last_hour, LAST_HOUR_CAP), last_hour > LAST_HOUR_CAP), last_day=last_day,
        last_week=last_week, sparkline=tuple(steps), regressed_at=row["regressed_at"],
    )  # fmt: skip


def _read_cursor(cursor: str) -> tuple[float, str]:
    at, _, fingerprint = cursor.partition("_")
    value = plain.number_or_none(at if len(cursor) < 100 else None)
    if value is None or not fingerprint:
        raise BadRequest("the cursor is not valid: start again without one")
    return value, fingerprint
