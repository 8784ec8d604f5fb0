"""Rules as people see them, and how often each would have told something, as far as the history says it.

Each rule is counted as if it were the only one, and nothing were muted. A rule whose condition leaves no trace in the
history (a queue that waited, a disk that was full) is not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from peewee import SqliteDatabase

from duey.config.alerts import RULES, Alerts
from duey.monitor.history.schema import DAY_S, HOUR_S

LOOKS_BACK_S = 30 * DAY_S
THRESHOLDS = {
    "error_rate": "error_rate_per_hour", "schedule_late": "late_s", "schedule_overdue": "late_s",
    "queue_age": "queue_age_s", "no_consumer": "no_consumer_s", "disk_free": "disk_free_mb", "history": "history_s",
    "backup": "backup_hours", "slow_job": "slow_factor", "peer": "peers",
}  # fmt: skip
OPENED = "SELECT rule, COUNT(*) FROM incidents WHERE opened_at >= ? GROUP BY rule"
MAX_ROWS = 20_000  # so that the answer takes a bounded time; a busier past is counted as far as this

NEW = "SELECT COUNT(*) FROM error_groups WHERE first_seen >= ?"
REGRESSED = "SELECT COUNT(*) FROM error_groups WHERE regressed_at >= ?"
# The newest rows are read by time, which an index has, and sorted afterwards.
HOURS = """SELECT * FROM (SELECT fingerprint, at FROM error_hours WHERE at >= ? AND count > ? ORDER BY at DESC LIMIT ?)
    ORDER BY fingerprint, at"""
FAILED = """SELECT * FROM (SELECT fingerprint, finished_at FROM jobs WHERE state = 'failed' AND finished_at >= ?
    ORDER BY finished_at DESC LIMIT ?) ORDER BY fingerprint, finished_at"""
RESCUED = "SELECT '', at FROM figures WHERE tier_s = 3600 AND at >= ? AND rescued > 0 GROUP BY at ORDER BY at LIMIT ?"
SLOTS = """SELECT schedule, outcome FROM (SELECT schedule, at, outcome FROM slots WHERE at >= ?
    ORDER BY at DESC LIMIT ?) ORDER BY schedule, at"""
BAD = {"missed": "schedule_missed", "failed": "schedule_failed", "expired": "schedule_failed"}
UNDECIDED = ("skipped", "running", "waiting")


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

    def rows(sql: str, *values: float) -> list[tuple[str, float]]:
        fetched: list[tuple[str, float]] = db.execute_sql(sql, (since, *values, MAX_ROWS)).fetchall()
        return fetched

    found = {
        "error_new": db.execute_sql(NEW, (since,)).fetchone()[0],
        "error_regressed": db.execute_sql(REGRESSED, (since,)).fetchone()[0],
        "job_failed": bursts(rows(FAILED)),
        "worker_killed": bursts(rows(RESCUED)),
        **schedules(db.execute_sql(SLOTS, (since, MAX_ROWS)).fetchall()),
    }
    if error_rate_per_hour is not None:
        found["error_rate"] = bursts(rows(HOURS, error_rate_per_hour))
    return found


def bursts(rows: Iterable[tuple[str, float]]) -> int:
    """Return how often something began: (subject, time) in this order, more than an hour after the one before."""
    found, subject, last = 0, None, 0.0
    for name, at in rows:
        if name != subject or at - last > HOUR_S:
            found += 1
        subject, last = name, at
    return found


def schedules(rows: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return how often a schedule began to go wrong, by the rule that would have told it. Rows: (schedule, outcome)."""
    begun = dict.fromkeys(BAD.values(), 0)
    for _, group in groupby(rows, key=lambda row: row[0]):
        well = True
        for _, outcome in group:
            if outcome in UNDECIDED:
                continue
            if well and outcome in BAD:
                begun[BAD[outcome]] += 1
            well = outcome not in BAD
    return begun
