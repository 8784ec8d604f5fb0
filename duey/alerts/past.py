"""How often each rule would have told something in the last 30 days, as far as the history and the readings say it.

Each rule is counted as if it were the only one, and nothing were muted. What goes on from hour to hour counts once. The
evaluator counts every hour, one COUNTER after the other, and keeps the numbers as marks: to count takes up to some
tenths of a second of a large history.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import peewee

from duey.alerts import readings
from duey.alerts.live_reader import LONG_S, OCCURRENCES, RUNS
from duey.alerts.rules.schedules import BAD, WELL
from duey.config.alerts import RULES, Alerts
from duey.monitor.history.schema import DAY_S, HOUR_S
from duey.monitor.history.tallies import BOUNDS_MS, BUCKETS, add_written, percentile_ms

LOOKS_BACK_S = 30 * DAY_S
MAX_ROWS = 10_000  # of one kind, so that it takes a bounded time; a busier past is counted as far as this
THRESHOLDS = {
    "error_rate": "error_rate_per_hour", "schedule_late": "late_s", "schedule_overdue": "late_s",
    "queue_age": "queue_age_s", "no_consumer": "no_consumer_s", "disk_free": "disk_free_mb", "history": "history_s",
    "backup": "backup_hours", "slow_job": "slow_factor", "peer": "peers",
}  # fmt: skip
OPENED = "SELECT rule, COUNT(*) FROM incidents WHERE opened_at >= ? GROUP BY rule"
MARKS = "SELECT name, value FROM marks WHERE name >= 'would ' AND name < 'would!' OR name = 'readings_since'"

NEW = "SELECT COUNT(*) FROM error_groups WHERE first_seen >= ?"
REGRESSED = "SELECT COUNT(*) FROM error_groups WHERE regressed_at >= ?"
# The newest rows are read by time, which an index has.
RATES = "SELECT fingerprint, at FROM error_hours WHERE at >= ? AND count > ? ORDER BY at DESC LIMIT ?"
FAILED = """SELECT fingerprint, finished_at FROM jobs WHERE state = 'failed' AND finished_at >= ?
    ORDER BY finished_at DESC LIMIT ?"""
RESCUED = "SELECT DISTINCT '', at FROM figures WHERE tier_s = 3600 AND at >= ? AND rescued > 0"
DIED = "SELECT '', at FROM entries WHERE job = 0 AND at >= ? AND kind = 'died' ORDER BY at DESC LIMIT ?"
CHARGED = """SELECT h.fingerprint, h.at FROM error_groups g JOIN error_hours h ON h.fingerprint = g.fingerprint
    WHERE g.type = 'WorkerDied' AND h.at >= ? LIMIT ?"""
SLOTS = """SELECT s.schedule, s.at, s.outcome, CASE WHEN j.started_at > j.enqueued_at THEN j.started_at
    ELSE COALESCE(j.enqueued_at, 0) END, j.finished_at
    FROM (SELECT * FROM slots WHERE at >= ? ORDER BY at DESC LIMIT ?) s LEFT JOIN jobs j ON j.id = s.job_id
    ORDER BY s.schedule, s.at"""
RUNS_OF_DAYS = """SELECT task, at, run_buckets, run_max_ms FROM figures WHERE tier_s = 86400 AND at >= ? AND task IN
    (SELECT task FROM figures WHERE tier_s = 86400 AND at >= ? AND run_max_ms > ?) ORDER BY task, at"""

Counter = Callable[[peewee.Database, Alerts, float], "dict[str, int]"]  # by rule; the last: now


def counted_bursts(rows: Iterable[tuple[str, float]]) -> int:
    """Return how often something begins, from subjects and times: a subject begins anew after more than an hour."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for subject, at in rows:
        times[subject].append(at)
    found = 0
    for each in times.values():
        each.sort()
        found += 1 + sum(later - earlier > HOUR_S for earlier, later in pairwise(each))
    return found


def errors(db: peewee.Database, limits: Alerts, now: float) -> dict[str, int]:
    since = int(now - LOOKS_BACK_S)
    found = {
        "error_new": db.execute_sql(NEW, (since,)).fetchone()[0],
        "error_regressed": db.execute_sql(REGRESSED, (since,)).fetchone()[0],
    }
    if limits.error_rate_per_hour is not None:
        rows = db.execute_sql(RATES, (since, limits.error_rate_per_hour, MAX_ROWS)).fetchall()
        found["error_rate"] = counted_bursts(rows)
    return found


def failed_jobs(db: peewee.Database, limits: Alerts, now: float) -> dict[str, int]:
    return {"job_failed": counted_bursts(db.execute_sql(FAILED, (now - LOOKS_BACK_S, MAX_ROWS)).fetchall())}


def worker_deaths(db: peewee.Database, limits: Alerts, now: float) -> dict[str, int]:
    since = int(now - LOOKS_BACK_S)
    rows = db.execute_sql(RESCUED, (since,)).fetchall()
    for sql in (DIED, CHARGED):
        rows += db.execute_sql(sql, (since, MAX_ROWS)).fetchall()
    return {"worker_killed": counted_bursts(rows)}


def schedules(db: peewee.Database, limits: Alerts, now: float) -> dict[str, int]:
    found = {rule: 0 for rule in ("schedule_late", "schedule_overdue", *BAD.values())}
    slots: Any = db.execute_sql(SLOTS, (now - LOOKS_BACK_S, MAX_ROWS)).fetchall()
    for _, of_one in groupby(slots, key=lambda slot: slot[0]):
        for rule in _of_schedule([each[1:] for each in of_one], limits.late_s, now):
            found[rule] += 1
    return found


def _of_schedule(slots: list[tuple[float, str, float, float | None]], late_s: float, now: float) -> list[str]:
    """Return the rules that would have told of one schedule, once each time one turns bad. Slots, oldest first: when
    it was due, the outcome, when its job was enqueued and started, when it ended."""
    found: list[str] = []
    is_bad = is_late = False
    due: float | None = None  # of the oldest one since the last success, which is not decided yet
    times: deque[float] = deque(maxlen=OCCURRENCES)
    for at, outcome, started_at, finished_at in slots:
        times.append(at)
        due = at if due is None else due
        if outcome in BAD:
            found += [] if is_bad else [BAD[outcome]]
            is_bad, is_late, due = True, False, None
        elif outcome in WELL:
            was_late, is_late, is_bad = is_late, started_at - at > late_s, False
            found += ["schedule_late"] if is_late and not was_late else []
            found += ["schedule_overdue"] if (finished_at or at) > due + _interval(times) + late_s else []
            due = None
    if due is not None and now > due + _interval(times) + late_s:
        found.append("schedule_overdue")
    return found


def _interval(times: Iterable[float]) -> float:
    """The longest time between two of the newest occurrences, infinite if there are not two."""
    return max((later - at for at, later in pairwise(times)), default=float("inf"))


def slow_jobs(db: peewee.Database, limits: Alerts, now: float) -> dict[str, int]:
    """Counted by the run times of each day, which are kept in buckets: about as many as there were."""
    if limits.slow_factor is None:
        return {}
    since, count = int(now - LOOKS_BACK_S), 0
    rows: Any = db.execute_sql(RUNS_OF_DAYS, (since - 7 * DAY_S, since, LONG_S * 1000)).fetchall()
    for _, of_task in groupby(rows, key=lambda row: row[0]):
        days = [(at, text, max_ms) for _, at, text, max_ms in of_task]
        for n, (at, text, max_ms) in enumerate(days):
            if at < since or max_ms <= LONG_S * 1000:
                continue
            week, runs = [each for each in days[: n + 1] if each[0] > at - 7 * DAY_S], [0] * BUCKETS
            for _, each, _ in week:
                add_written(runs, each)
            p95 = percentile_ms(runs, 0.95, max(each[2] for each in week))
            if p95 is not None and sum(runs) >= RUNS:
                count += runs_above(max(LONG_S * 1000, limits.slow_factor * p95), text, max_ms)
    return {"slow_job": count}


def runs_above(limit_ms: float, buckets: str, max_ms: float) -> int:
    """Return about how many runs took longer than the limit, at least 1 if the longest did."""
    if max_ms <= limit_ms:
        return 0
    counts = [0] * BUCKETS
    add_written(counts, buckets)
    n = bisect_left(BOUNDS_MS, limit_ms)
    low, high = BOUNDS_MS[n - 1] if n else 0.0, min(BOUNDS_MS[n], max_ms)
    share = (high - limit_ms) / (high - low) if high > limit_ms else 0.0
    return max(1, round(counts[n] * share) + sum(counts[n + 1 :]))


def schedules_and_readings(db: peewee.Database, limits: Alerts, now: float) -> dict[str, int]:
    """Count those of a schedule, too, because one rule tells of both."""
    found = schedules(db, limits, now)
    for rule, prefix, threshold in readings.RULES:
        limit = threshold(limits)
        if limit is not None:
            hours = readings.hours_above(db, prefix, limit, int(now - LOOKS_BACK_S))
            found[rule] = found.get(rule, 0) + counted_bursts(hours)
    return found


COUNTERS: tuple[Counter, ...] = (errors, failed_jobs, worker_deaths, slow_jobs, schedules_and_readings)


@dataclass(frozen=True)
class RuleView:
    """A rule. `threshold`: as in config.ini. `incidents`: how many it opened in 30 days. `would`: how often it would
    have told something in them; None if that is not known, and `why` says why. `since_at`: if it is counted for a
    shorter time, since when."""

    name: str
    meaning: str
    is_on: bool
    threshold: str
    incidents: int
    would: int | None
    why: str
    since_at: float | None


def rule_views(db: peewee.Database, options: Alerts, now: float) -> tuple[RuleView, ...]:
    """Return every rule with its figures of 30 days."""
    since = now - LOOKS_BACK_S
    opened = dict(db.execute_sql(OPENED, (since,)).fetchall())
    marks = dict(db.execute_sql(MARKS).fetchall())
    read_since = marks.get("readings_since", since)
    found = []
    for name, meaning in RULES.items():
        key = THRESHOLDS.get(name)
        value = getattr(options, key) if key else True
        is_set = value not in (None, ())
        would = marks.get(f"would {name}") if is_set else None
        found.append(
            RuleView(
                name, meaning, name in options.rules and is_set, f"{key} = {_threshold(value)}" if key else "",
                opened.get(name, 0), None if would is None else int(would),
                "" if would is not None else "not counted yet" if is_set else "not set",
                read_since if name in readings.KEPT and read_since > since else None,
            )
        )  # fmt: skip
    return tuple(found)


def _threshold(value: object) -> str:
    """A threshold as in config.ini. Of peers, whose URLs may hold a secret, the number."""
    if isinstance(value, tuple):
        value = f"{len(value)} URLs" if value else None
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
