"""Errors and failed jobs. All that is told of one cause has one subject."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from duey.alerts.rules.finding import Fact, Finding, headline
from duey.alerts.rules.snapshot import EACH, NEVER, ErrorSeen, Snapshot
from duey.config.alerts import Alerts
from duey.tasks.drill import TASK

CALM_S = 3600.0  # an error, or deaths of workers, are over when there was none for so long
DAY_S = 86400.0
DRILL = "drill"  # a rule that is always on


def errors(s: Snapshot, limits: Alerts) -> list[Finding]:
    """An error is new, came back, occurs too often, or failed a job for good."""
    found = []
    for each in s.errors:
        by_schedule = each.schedule is not None and "schedule_failed" in limits.rules  # told of the schedule
        if each.alert == NEVER or each.state != "open" or by_schedule:
            continue
        opened = next((rule for rule in _reasons(each, limits) if rule in limits.rules), None)
        if opened or each.last_seen > s.now - CALM_S:
            found.append(_error(each, opened))
    return found


def _reasons(each: ErrorSeen, limits: Alerts) -> Iterator[str]:
    if not each.failures:
        return
    if each.type == "WorkerDied" and each.ended:
        yield "worker_killed"
    if each.alert != EACH:
        if each.regressed_at is not None and each.regressed_at >= each.first_at:
            yield "error_regressed"
        if each.total <= each.failures:
            yield "error_new"
        if each.ended:
            yield "job_failed"
    if limits.error_rate_per_hour is not None and each.last_hour > limits.error_rate_per_hour:
        yield "error_rate"


ERROR_LINES = {
    "worker_killed": "A job was failed because its worker processes died while they ran it.",
    "error_regressed": "This error came back after it was marked as fixed.",
    "error_new": "This error was never seen before.",
    "error_rate": "This error occurs often: {hour} times in the last hour.",
    "job_failed": "A job failed for good.",
}


def _error(each: ErrorSeen, rule: str | None) -> Finding:
    error = f"{each.type}: {each.message}"
    line = ERROR_LINES[rule or "job_failed"].format(hour=each.last_hour)
    facts: tuple[Fact, ...] = (("task", each.task), ("error", error), ("last job", each.last_job_id))
    title = f"{each.task}: {headline(error)}"
    return Finding(
        rule or "job_failed", f"error {each.fingerprint}", title, (line,), facts,
        f"errors/{each.fingerprint}", each.failures, rule is not None, each.last_job_id,
    )  # fmt: skip


def failed_jobs(s: Snapshot, limits: Alerts) -> list[Finding]:
    """A job of a task with alert="each" failed for good. Over when it is retried, or after a day."""
    return [
        Finding(
            "job_failed", f"job {each.id}", f"{each.task.rpartition('.')[2]}: {headline(each.error)}",
            ("A job failed for good.",), (("task", each.task), ("error", each.error), ("job", each.id)),
            f"jobs/{quote(each.id, safe='')}", int(each.is_new), each.is_new, each.id,
        )
        for each in s.failed
        if each.task != TASK and each.is_failed and each.failed_at > s.now - DAY_S
    ]  # fmt: skip


def drills(s: Snapshot, limits: Alerts) -> list[Finding]:
    """The job of a fire drill failed, as it has to."""
    line = "Somebody proves that failures are told. Nothing is wrong."
    return [
        Finding(DRILL, f"{DRILL} {each.id}", "Fire drill", (line,), (("job", each.id),), "alerts", 1)
        for each in s.failed
        if each.task == TASK and each.is_new
    ]


def worker_deaths(s: Snapshot, limits: Alerts) -> list[Finding]:
    """Worker processes died, with jobs or without."""
    deaths = s.deaths
    if not deaths.number and s.changed_at.get("workers", 0.0) <= s.now - CALM_S:
        return []
    line = "Its jobs run again. A job that kills its workers again and again is failed ([tasks] max_crashes)."
    facts: tuple[Fact, ...] = ()
    if deaths.number:
        facts = (("what happened", deaths.last),)
    if deaths.job_id:
        facts = (("task", deaths.task), ("job", deaths.job_id), *facts)
    elif deaths.number:
        line = "It ran no job. Its consumer starts another one, unless the whole consumer was killed."
    return [
        Finding(
            "worker_killed", "workers", "A worker process was killed", (line,), facts, "workers", deaths.number,
            bool(deaths.number),
        )
    ]  # fmt: skip
