"""Rules as people see them, and how often each would have told something, as far as the history says it.

Each rule is counted as if it were the only one, and nothing were muted. A rule whose condition leaves no trace in the
history (a queue that waited, a disk that was full) is not here.
"""

from __future__ import annotations

from dataclasses import dataclass

from peewee import SqliteDatabase

from duey.alerts.rules.schedules import BAD
from duey.config.alerts import RULES, Alerts
from duey.monitor.history.schema import DAY_S

LOOKS_BACK_S = 30 * DAY_S
THRESHOLDS = {
    "error_rate": "error_rate_per_hour", "schedule_late": "late_s", "schedule_overdue": "late_s",
    "queue_age": "queue_age_s", "no_consumer": "no_consumer_s", "disk_free": "disk_free_mb", "history": "history_s",
    "backup": "backup_hours", "slow_job": "slow_factor", "peer": "peers",
}  # fmt: skip
OPENED = "SELECT rule, COUNT(*) FROM incidents WHERE opened_at >= ? GROUP BY rule"
MAX_ROWS = 10_000  # so that the answer takes a bounded time; a busier past is counted as far as this

NEW = "SELECT COUNT(*) FROM error_groups WHERE first_seen >= ?"
REGRESSED = "SELECT COUNT(*) FROM error_groups WHERE regressed_at >= ?"
# The newest rows are read by time, which an index has. Each begins something if its subject was calm for an hour.
BURSTS = """SELECT COUNT(*) FROM (SELECT at - LAG(at) OVER (PARTITION BY subject ORDER BY at) AS calm_s FROM ({}))
    WHERE calm_s IS NULL OR calm_s > 3600"""
HOURS = "SELECT fingerprint AS subject, at FROM error_hours WHERE at >= ? AND count > ? ORDER BY at DESC LIMIT ?"
FAILED = """SELECT fingerprint AS subject, finished_at AS at FROM jobs WHERE state = 'failed' AND finished_at >= ?
    ORDER BY finished_at DESC LIMIT ?"""
RESCUED = """SELECT '' AS subject, at FROM figures WHERE tier_s = 3600 AND at >= ? AND rescued > 0 GROUP BY at
    ORDER BY at DESC LIMIT ?"""
WENT_WRONG = """WITH decided AS (SELECT schedule, at, outcome, outcome IN ('missed', 'failed', 'expired') AS bad
    FROM slots WHERE at >= ? AND outcome NOT IN ('skipped', 'running', 'waiting') ORDER BY at DESC LIMIT ?)
    SELECT outcome, COUNT(*) FROM (SELECT outcome, bad, LAG(bad, 1, 0) OVER (PARTITION BY schedule ORDER BY at) AS
    bad_before FROM decided) WHERE bad AND NOT bad_before GROUP BY outcome"""


@dataclass(frozen=True)
class RuleView:
    """A rule. `threshold`: as in config.ini. `incidents`: how many it opened in 30 days. `would`: how often it would
    have told something in them, None if the history does not say."""

    name: str
    meaning: str
    is_on: bool
    threshold: str
    incidents: int
    would: int | None


def rule_views(db: SqliteDatabase, options: Alerts, now: float) -> tuple[RuleView, ...]:
    """Return every rule with its figures of 30 days."""
    since = now - LOOKS_BACK_S
    counts = dict(db.execute_sql(OPENED, (since,)).fetchall())
    would = would_have_told(db, since, options.error_rate_per_hour)
    found = []
    for name, meaning in RULES.items():
        key = THRESHOLDS.get(name)
        value = getattr(options, key) if key else True
        is_on = name in options.rules and value not in (None, ())
        threshold = f"{key} = {_threshold(value)}" if key else ""
        found.append(RuleView(name, meaning, is_on, threshold, counts.get(name, 0), would.get(name)))
    return tuple(found)


def _threshold(value: object) -> str:
    """A threshold as in config.ini. Of peers, whose URLs may hold a secret, the number."""
    if isinstance(value, tuple):
        value = f"{len(value)} URLs" if value else None
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def would_have_told(db: SqliteDatabase, since: float, error_rate_per_hour: int | None) -> dict[str, int]:
    """Return for each rule that the history knows how often it would have told something since then."""

    def bursts(sql: str, *values: float) -> int:
        found: int = db.execute_sql(BURSTS.format(sql), (since, *values, MAX_ROWS)).fetchone()[0]
        return found

    found = {
        "error_new": db.execute_sql(NEW, (since,)).fetchone()[0],
        "error_regressed": db.execute_sql(REGRESSED, (since,)).fetchone()[0],
        "job_failed": bursts(FAILED),
        "worker_killed": bursts(RESCUED),
        **dict.fromkeys(BAD.values(), 0),
    }
    for outcome, count in db.execute_sql(WENT_WRONG, (since, MAX_ROWS)).fetchall():
        found[BAD[outcome]] += count
    if error_rate_per_hour is not None:
        found["error_rate"] = bursts(HOURS, error_rate_per_hour)
    return found
