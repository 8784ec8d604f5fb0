"""The rules: each says, from a snapshot alone, what is wrong now. docs/alerts.md describes them for people.

A rule returns findings, or None if the snapshot cannot say: the incidents of the rule then stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from duey.alerts.rules import errors, schedules, service
from duey.alerts.rules.finding import Finding
from duey.alerts.rules.snapshot import Snapshot
from duey.config.alerts import Alerts

Rule = Callable[[Snapshot, Alerts], "list[Finding] | None"]
RULES: tuple[tuple[frozenset[str], Rule], ...] = (
    (frozenset({"worker_killed", "error_regressed", "error_new", "error_rate", "job_failed"}), errors.errors),
    (frozenset({"job_failed"}), errors.failed_jobs),
    (frozenset({errors.DRILL}), errors.drills),
    (frozenset({"worker_killed"}), errors.worker_deaths),
    (frozenset(schedules.TITLES), schedules.schedules),
    (frozenset({"queue_age"}), service.queue_age),
    (frozenset({"no_consumer"}), service.no_consumer),
    (frozenset({"no_consumer"}), service.storage_away),
    (frozenset({"disk_free"}), service.disk_free),
    (frozenset({"history"}), service.history),
    (frozenset({"backup"}), service.backup),
    (frozenset({"slow_job"}), service.slow_jobs),
    (frozenset({"peer"}), service.peers),
)


def findings(snapshot: Snapshot, limits: Alerts) -> tuple[list[Finding], frozenset[str]]:
    """Return what is wrong, at most one finding for a subject, and the names of the rules that cannot say."""
    on = limits.rules | {errors.DRILL}
    found: dict[str, Finding] = {}
    unknown: set[str] = set()
    for names, rule in RULES:
        if not on & names:
            continue
        outcome = rule(snapshot, limits)
        if outcome is None:
            unknown |= names
            continue
        for each in outcome:
            if each.rule in on or not each.opens:
                found.setdefault(each.subject, each)
    return list(found.values()), frozenset(unknown)
