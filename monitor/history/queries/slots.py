"""Slots of schedules: the runs of one schedule, and what did not run as planned, until somebody dismisses it."""

from __future__ import annotations

from collections.abc import Sequence

from duey.monitor.history.queries import Queries
from duey.monitor.history.values import Slot, SlotGroup, SlotRun

MAX_SLOTS, MAX_GROUPS = 1000, 200
RUNS = """SELECT slots.schedule, slots.at, slots.outcome, slots.job_id, slots.reason, jobs.wait_ms, jobs.run_ms
    FROM slots LEFT JOIN jobs ON jobs.id = slots.job_id WHERE {} ORDER BY slots.at DESC, slots.schedule LIMIT ?"""
# The condition of the index slots_to_look_at. The reasons of missed and skipped slots say what stopped them, such as
# one outage; those of the others differ each time.
OPEN = "dismissed_at IS NULL AND outcome NOT IN ('on time', 'running', 'waiting')"
GROUPS = f"""WITH found AS (
        SELECT schedule, outcome, COUNT(*) AS count, MIN(at) AS first_at, MAX(at) AS last_at FROM slots
        WHERE {OPEN} AND outcome IN ('missed', 'skipped') AND {{0}} GROUP BY outcome, schedule, reason
        UNION ALL
        SELECT schedule, outcome, COUNT(*), MIN(at), MAX(at) FROM slots
        WHERE {OPEN} AND outcome NOT IN ('missed', 'skipped') AND {{0}} GROUP BY outcome, schedule)
    SELECT found.schedule, found.outcome, slots.reason, count, first_at, last_at, slots.job_id
    FROM found JOIN slots ON slots.schedule = found.schedule AND slots.at = last_at
    ORDER BY CASE found.outcome WHEN 'missed' THEN 0 WHEN 'skipped' THEN 3 WHEN 'late' THEN 2 ELSE 1 END,
    last_at DESC LIMIT ?"""
MISSED = f"""SELECT schedule, 'missed', reason, COUNT(*), MIN(at), MAX(at), NULL FROM slots
    WHERE {OPEN} AND outcome = 'missed' AND at >= ? GROUP BY schedule, reason ORDER BY MAX(at) DESC LIMIT ?"""
THESE = f"slots WHERE {OPEN} AND schedule = ? AND outcome = ? AND at BETWEEN ? AND ?"


class Slots(Queries):
    """Reads the slots that the recorder copied, which may be some seconds old."""

    def slot_runs(
        self, schedule: str, limit: int = 60, outcomes: Sequence[str] = (), before: float | None = None
    ) -> tuple[SlotRun, ...]:
        """Return slots of a schedule, newest first, with the times of their jobs as far as these are kept. `outcomes`:
        only these. `before`: only earlier ones."""
        wheres, values = ["slots.schedule = ?"], list[str | float]([schedule])
        if outcomes:
            wheres.append(f"slots.outcome IN ({','.join('?' * len(outcomes))})")
            values += outcomes
        if before is not None:
            wheres.append("slots.at < ?")
            values.append(before)
        values.append(max(1, min(limit, MAX_SLOTS)))
        with self._database.reading() as db:
            rows = db.execute_sql(RUNS.format(" AND ".join(wheres)), values).fetchall()
        return tuple(SlotRun(Slot(*row[:5]), row[5], row[6]) for row in rows)

    def slots_to_look_at(self, schedule: str | None = None) -> tuple[SlotGroup, ...]:
        """Return the slots of one schedule or of all that did not run as planned and were not dismissed, in groups,
        missed ones first."""
        only, values = ("1 = 1", []) if schedule is None else ("schedule = ?", [schedule, schedule])
        sql = GROUPS.format(only)
        with self._database.reading() as db:
            rows = db.execute_sql(sql, (*values, MAX_GROUPS)).fetchall()
        return tuple(SlotGroup(*row) for row in rows)

    def missed_slots(self, since: float) -> tuple[SlotGroup, ...]:
        """Return the missed slots since then that were not dismissed, in groups, newest first."""
        with self._database.reading() as db:
            rows = db.execute_sql(MISSED, (since, MAX_GROUPS)).fetchall()
        return tuple(SlotGroup(*row) for row in rows)

    def open_slots(self, schedule: str, outcome: str, first_at: float, last_at: float) -> tuple[float, ...]:
        """Return when the slots with this outcome between these times were due, oldest first."""
        sql = f"SELECT at FROM {THESE} ORDER BY at LIMIT ?"
        with self._database.reading() as db:
            rows = db.execute_sql(sql, (schedule, outcome, first_at, last_at, MAX_SLOTS)).fetchall()
        return tuple(row[0] for row in rows)

    def dismiss_slots(self, schedule: str, outcome: str, first_at: float, last_at: float) -> int:
        """Take the slots with this outcome between these times off the list of what to look at. Return how many."""
        sql = f"UPDATE slots SET dismissed_at = ? WHERE (schedule, at) IN (SELECT schedule, at FROM {THESE})"
        with self._database.writing() as db:
            cursor = db.execute_sql(sql, (self._clock(), schedule, outcome, first_at, last_at))
            return int(cursor.rowcount)
