"""Schedules: one subject for each, told for the newest occurrence that is decided."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from duey.alerts.rules.finding import Fact, Finding, span, stamp
from duey.alerts.rules.snapshot import Live, Occurrence, ScheduleSeen, Snapshot
from duey.config.alerts import Alerts

STANDS_S = 60.0
WELL = ("on time", "late")
UNDECIDED = ("running", "waiting")  # its job has not ended, or waits for the run before
BAD = {"missed": "schedule_missed", "failed": "schedule_failed", "expired": "schedule_failed"}
TITLES = {
    "schedule_missed": "Schedule {name}: a run was missed",
    "schedule_failed": "Schedule {name}: a run failed",
    "schedule_late": "Schedule {name}: a run did not start in time",
    "schedule_overdue": "Schedule {name}: no run has succeeded in time",
}


def schedules(s: Snapshot, limits: Alerts) -> list[Finding] | None:
    """The newest run of a schedule was missed, failed or late, or none has succeeded within its interval."""
    if s.live is None:
        return None
    found = [_schedule(each, s, limits) for each in s.live.schedules]
    return [each for each in (*found, _scheduler(s.live, s.now)) if each is not None]


def _scheduler(live: Live, now: float) -> Finding | None:
    """No consumer runs schedules, although consumers run."""
    if live.schedules_since is None or live.consumer_seen_at is not None or now - live.schedules_since < STANDS_S:
        return None
    line = "Start a consumer without --no-periodic, or see the log of the consumers."
    facts = (("since", stamp(live.schedules_since)),)
    return Finding("schedule_overdue", "scheduler", "No consumer runs schedules", (line,), facts, "schedules")


def _schedule(schedule: ScheduleSeen, s: Snapshot, limits: Alerts) -> Finding | None:
    decided = [each for each in schedule.occurrences if each.outcome in (*WELL, *BAD)]
    if not decided:
        return None
    newest, bad = decided[0], 0
    while bad < len(decided) and decided[bad].outcome in BAD:
        bad += 1
    started_at = max(newest.enqueued_at or 0.0, newest.started_at or 0.0)
    undecided = next((each for each in schedule.occurrences if each.outcome in UNDECIDED), newest)
    if bad:
        rule = BAD[newest.outcome]
    elif undecided.at > newest.at and (undecided.started_at or s.now) - undecided.at > limits.late_s:
        rule, newest, started_at = "schedule_late", undecided, undecided.started_at or s.now
    elif started_at - newest.at > limits.late_s:
        rule = "schedule_late"
    elif s.now > _overdue_at(schedule.occurrences, newest, limits):
        rule = "schedule_overdue"
    else:
        return None
    reason = newest.error or newest.reason or newest.outcome
    facts: list[Fact] = [("schedule", schedule.name)]
    if rule in ("schedule_failed", "schedule_missed"):
        facts += [("error", reason), *([("job", newest.job_id)] if newest.job_id else [])]
        facts += [("in a row", str(bad))] if bad > 1 else []
    elif rule == "schedule_late":
        facts.append(("late by", span(started_at - newest.at)))
    facts.append(("due at", stamp(newest.at)))
    return Finding(
        rule, f"schedule {schedule.name}", TITLES[rule].format(name=schedule.name), (), tuple(facts),
        "schedules", 0, max(newest.at, started_at) >= s.since or rule == "schedule_overdue",
        newest.job_id if rule == "schedule_failed" and newest.job_id else "",
    )  # fmt: skip


def _overdue_at(occurrences: Sequence[Occurrence], success: Occurrence, limits: Alerts) -> float:
    """When the run after the last success should have succeeded: an interval after it was due, and late_s. Infinity if
    none was due yet. The interval is the longest between two of the newest occurrences."""
    times = [each.at for each in occurrences]
    since = [at for at in times if at > success.at]
    longest = max((later - earlier for later, earlier in pairwise(times)), default=0.0)
    return min(since) + longest + limits.late_s if since else float("inf")
