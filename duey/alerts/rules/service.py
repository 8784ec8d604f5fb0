"""The service itself: queues, consumers, disks, history, backups, and jobs that run for long."""

from __future__ import annotations

from urllib.parse import quote

from duey.alerts.rules.finding import Fact, Finding, span, stamp
from duey.alerts.rules.snapshot import Snapshot
from duey.config.alerts import Alerts

PEER_S = 60.0  # a restart of another service is no incident


def queue_age(s: Snapshot, limits: Alerts) -> list[Finding] | None:
    """The oldest waiting job of a queue has waited too long."""
    if s.live is None:
        return None
    return [
        Finding(
            "queue_age", f"queue {each.name}", f"Queue {each.name}: jobs wait longer than {span(limits.queue_age_s)}",
            (), (("queue", each.name), ("oldest waits", span(each.oldest_age_s)), ("waiting", f"{each.waiting:,}")),
            "jobs?state=queued",
        )
        for each in s.live.queues
        if each.oldest_age_s > limits.queue_age_s
    ]  # fmt: skip


def no_consumer(s: Snapshot, limits: Alerts) -> list[Finding] | None:
    """No consumer runs."""
    if s.live is None:
        return None
    seen_at = s.live.consumer_seen_at
    if seen_at is None or s.now - seen_at <= limits.no_consumer_s:
        return []
    waiting = sum(each.waiting for each in s.live.queues)
    return [
        Finding(
            "no_consumer", "consumer", "No consumer runs",
            ("Jobs are accepted and wait. Start a consumer with `duey worker`, or see why it stopped in its log.",),
            (("since", stamp(seen_at)), ("waiting", f"{waiting:,}")), "workers",
        )
    ]  # fmt: skip


def storage_away(s: Snapshot, limits: Alerts) -> list[Finding]:
    """The queue's storage cannot be used, so nobody can say whether a consumer runs."""
    if s.away is None or s.now - s.away.since <= limits.no_consumer_s:
        return []
    line = "Jobs are refused, and none runs, until it can be used again. Nothing else is known of the queue meanwhile."
    facts = (("since", stamp(s.away.since)), ("problem", s.away.problem))
    return [Finding("no_consumer", "storage", "The storage of the queue cannot be used", (line,), facts, "workers")]


def disk_free(s: Snapshot, limits: Alerts) -> list[Finding]:
    """Little is free on a disk of the service."""
    return [
        Finding(
            "disk_free", f"disk {folder}", f"Less than {limits.disk_free_mb} MB free on the disk of {folder}",
            ("When the disk is full, jobs are refused and nothing is recorded.",),
            (("free", f"{free / 1e6:,.0f} MB"),),
        )
        for folder, free in s.disks
        if free < limits.disk_free_mb * 1e6
    ]  # fmt: skip


def history(s: Snapshot, limits: Alerts) -> list[Finding] | None:
    """Events wait, and none is recorded."""
    if s.live is None:
        return None
    if s.live.unrecorded_s <= limits.history_s:
        return []
    facts = (("events waiting", f"{s.live.unrecorded:,}"), ("for", span(s.live.unrecorded_s)))
    return [history_finding((*facts, *([("problem", s.problem)] if s.problem else [])))]


def history_finding(facts: tuple[Fact, ...]) -> Finding:
    """The finding of the rule history, which is also told where incidents cannot be written."""
    line = "Jobs run, and their events wait in the queue. Pages and alerts show nothing new until they are recorded."
    return Finding("history", "history", "The history is not being recorded", (line,), facts)


def backup(s: Snapshot, limits: Alerts) -> list[Finding]:
    """The newest backup is too old."""
    if limits.backup_hours is None:
        return []
    newest_at = max(s.backup_at or 0.0, 0.0 if s.backup_at else s.since)
    if s.now - newest_at <= limits.backup_hours * 3600:
        return []
    last = stamp(s.backup_at) if s.backup_at else "none was found"
    title = f"No backup for more than {span(limits.backup_hours * 3600)}"
    return [Finding("backup", "backup", title, (), (("newest backup", last),), "schedules")]


def peers(s: Snapshot, limits: Alerts) -> list[Finding] | None:
    """Another service has not been ready for a while."""
    if s.peers is None:
        return None
    return [
        Finding(
            "peer", f"peer {each.name}", f"{each.name} is not ready", (),
            (("since", stamp(each.since)), ("answer", each.answer)),
        )
        for each in s.peers
        if each.since is not None and s.now - each.since >= PEER_S
    ]  # fmt: skip


def slow_jobs(s: Snapshot, limits: Alerts) -> list[Finding] | None:
    """A job runs much longer than its task usually does."""
    if limits.slow_factor is None:
        return []
    if s.live is None:
        return None
    return [
        Finding(
            "slow_job", f"slow {each.id}", f"{each.task} runs for more than {limits.slow_factor:g} times its p95", (),
            (("task", each.task), ("job", each.id), ("runs for", span(s.now - each.started_at)),
             ("p95", span(each.p95_ms / 1000))), f"jobs/{quote(each.id, safe='')}",
        )
        for each in s.live.running
        if each.p95_ms and (s.now - each.started_at) * 1000 > limits.slow_factor * each.p95_ms
    ]  # fmt: skip
