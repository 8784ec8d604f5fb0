"""Readings: the worst value of each hour of what leaves no other trace, such as how long the oldest job of a queue
waited. They say later how often a rule would have told something, also with another threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import peewee

from duey.alerts.rules.schedules import STANDS_S
from duey.alerts.rules.service import PEER_S
from duey.alerts.rules.snapshot import Snapshot
from duey.config.alerts import Alerts
from duey.monitor.history import plain
from duey.monitor.history.database import Database
from duey.monitor.history.schema import HOUR_S

WRITTEN_S = 60.0  # they are written at most so often
NOTED_S = 1.0  # shorter times are not worth a row
QUEUES = 100  # of one evaluation
WORST = """INSERT INTO readings (subject, at, worst) VALUES (?, ?, ?)
    ON CONFLICT (subject, at) DO UPDATE SET worst = excluded.worst WHERE excluded.worst > readings.worst"""
SINCE = "INSERT INTO marks (name, value) VALUES ('readings_since', ?) ON CONFLICT DO NOTHING"

# What is counted by readings: the rule, how their subjects begin, and the value above which it tells something.
RULES: tuple[tuple[str, str, Callable[[Alerts], float | None]], ...] = (
    ("queue_age", "queue ", lambda limits: limits.queue_age_s),
    ("no_consumer", "consumer", lambda limits: limits.no_consumer_s),
    ("no_consumer", "storage", lambda limits: limits.no_consumer_s),
    ("schedule_overdue", "scheduler", lambda limits: STANDS_S),
    ("history", "history", lambda limits: limits.history_s),
    ("disk_free", "disk ", lambda limits: -limits.disk_free_mb),
    ("backup", "backup", lambda limits: limits.backup_hours and limits.backup_hours * HOUR_S),
    ("peer", "peer ", lambda limits: PEER_S if limits.peers else None),
)
KEPT = frozenset(rule for rule, _, _ in RULES)


def values_of(s: Snapshot, limits: Alerts) -> dict[str, float]:
    """Return how bad each subject is: seconds, and for a disk the free MB as a negative number."""
    found: dict[str, float] = {f"disk {folder}": -(free // 1_000_000) for folder, free in s.disks}
    times = {f"peer {each.name}": s.now - each.since for each in s.peers or () if each.since is not None}
    if limits.backup_hours is not None:
        times["backup"] = s.now - (s.backup_at or s.since)
    if s.away is not None:
        times["storage"] = s.now - s.away.since
    if s.live is not None:
        oldest = sorted(s.live.queues, key=lambda each: -each.oldest_age_s)[:QUEUES]
        times |= {f"queue {each.name}": each.oldest_age_s for each in oldest}
        times["history"] = s.live.unrecorded_s
        if s.live.consumer_seen_at is not None:
            times["consumer"] = s.now - s.live.consumer_seen_at
        elif s.live.schedules_since is not None:
            times["scheduler"] = s.now - s.live.schedules_since
    return found | times


class Readings:
    """Keeps the worst values, and writes them from time to time. A death loses those of a minute."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._worst: dict[tuple[str, int], float] = {}
        self._unwritten: dict[tuple[str, int], float] = {}
        self._written_at = 0.0

    def note(self, values: Mapping[str, float], now: float) -> None:
        hour = int(now // HOUR_S) * HOUR_S
        if any(at != hour for _, at in self._worst):
            self._worst = {}
        for subject, value in values.items():
            if 0 <= value < NOTED_S:
                continue
            if value > self._worst.get((subject, hour), float("-inf")):
                self._worst[subject, hour] = self._unwritten[subject, hour] = value

    def write(self, now: float) -> None:
        """Write what became worse, if it is time. Raises HistoryUnavailable; it is written later then."""
        if self._unwritten and not 0 <= now - self._written_at < WRITTEN_S:
            with self._database.writing() as db:
                db.cursor().executemany(
                    WORST, [(plain.text(subject), at, value) for (subject, at), value in self._unwritten.items()]
                )
                db.execute_sql(SINCE, (now,))
            self._unwritten, self._written_at = {}, now


def hours_above(db: peewee.Database, prefix: str, limit: float, since: int) -> list[tuple[str, float]]:
    """Return subject and hour of each reading that is above the limit."""
    sql = "SELECT subject, at FROM readings WHERE subject >= ? AND subject < ? AND at >= ? AND worst > ?"
    found: list[tuple[str, float]] = db.execute_sql(sql, (prefix, f"{prefix}\U0010ffff", since, limit)).fetchall()
    return found
