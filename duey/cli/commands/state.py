"""Inspect the service: status."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from duey import clock
from duey.cli import output
from duey.cli.commands import alerts
from duey.cli.commands.copies import on_servers
from duey.cli.context import ATTENTION, DONE, CliContext, Refused, echo


def status(cli_context: CliContext, options: argparse.Namespace) -> int:
    """Print the state of the service: jobs, pauses, queues, consumers, open incidents and channels that fail.

    Exit status 1 if the service is not ready, as `/readyz` says: no consumer, no room on a disk or in Redis, a history
    that cannot be read or that nobody records. 3 if it is ready but something needs attention, as the first sentence of
    the overview says: failed jobs and missed runs of 24 h, open incidents, jobs that no consumer will run. With
    --ready that is 0, for scripts that wait until it is ready.
    """
    from duey.monitor.web.display.formats import plural
    from duey.monitor.web.display.healthy import BAD, judge
    from duey.monitor.web.situation import Reader

    control, now = cli_context.control, clock.now()
    reader = Reader(control, cli_context.history, alerts.service_of(cli_context), clock.now, records=False)
    with control.storage.read_ahead(*reader.reads):
        health, found = control.health(), reader.read(now, None, output.when)
    judged = judge(found)
    problems = list(dict.fromkeys([*health.problems, *found.history.problems, *lost_servers(cli_context.settings)]))
    sentence = judged.text(now)
    if options.json:
        output.print_json({
            "ready": not problems, "level": judged.level, "sentence": sentence, "problems": problems,
            "storage": where(cli_context.huey.storage), "warnings": warnings(found), "counts": counts_of(found.counts),
            "paused": paused(found), "stranded": [str(each) for each in found.stranded],
            "workers": [each.id for each in found.serving], "incidents": list(found.incidents),
        })  # fmt: skip
    else:
        settings = cli_context.settings
        for line in lines_of(found, problems, sentence if judged.level == BAD else "", settings.consumer.silent_s):
            echo(line)
        if found.counts is not None and found.counts.events:
            most = 2 * settings.monitor.backlog_rows
            echo(f"not in the history yet: {plural(found.counts.events, 'event')} (at most {most:,} are kept)")
        if cli_context.huey.storage.backend == "redis":
            echo(f"storage: {where(cli_context.huey.storage)}")
        alerts.show_state(cli_context)
    if problems:
        raise Refused(f"the service is not ready: {'; '.join(problems)}")
    return ATTENTION if judged.level == BAD and not options.ready else DONE


def where(storage: Any) -> str:
    """Where the queue is: among several servers of Redis, the primary."""
    return f"Redis at {storage.server.address}" if storage.backend == "redis" else storage.backend


def lost_servers(settings: Any) -> Iterator[str]:
    """Why a database on PostgreSQL cannot be used."""
    for database in on_servers(settings).values():
        try:
            database.look()
        except database.trouble as exc:
            yield str(exc)


def counts_of(counts: Any) -> dict[str, Any] | None:
    """The numbers of unfinished jobs by state, None where they are not known."""
    return counts and {**vars(counts), "oldest_queued_at": clock.rfc3339(counts.oldest_queued_at)}


def lines_of(found: Any, problems: list[str], sentence: str, silent_s: float) -> list[str]:
    """The state as text. A worker whose last heartbeat is older than `silent_s` is shown with its age."""
    if problems:
        lines = [f"NOT READY: {'; '.join(problems)}"]
    else:
        lines = [f"ready, but look: {sentence}" if sentence else "ready"]
    lines += [f"warning: {each}" for each in warnings(found)]
    counts = found.counts
    if counts is None:
        return lines
    age = "" if counts.oldest_queued_at is None else f" (oldest {found.now - counts.oldest_queued_at:.0f} s)"
    lines.append(
        f"queued {counts.queued}{age}, running {counts.running}, retrying {counts.retrying}, "
        f"scheduled {counts.scheduled}, blocked {counts.blocked}"
    )
    if names := paused(found):
        lines.append(f"paused: {', '.join(names)}")
    lines += [
        f"{each} ({'[consumer] queues' if each.kind == 'queue' else '[tasks] modules'})" for each in found.stranded
    ]
    for worker in found.workers:
        state = "alive" if worker.alive else "dead"
        age_s = found.now - worker.heartbeat_at
        off = f", no heartbeat for {age_s:.0f} s" if worker.alive and age_s > silent_s else ""
        off += f", {text}" if (text := clock.off_in_words(worker.clock_ahead_s)) else ""
        doing = ", ".join(job.task for job in worker.running) or "idle"
        lines.append(
            f"worker {worker.id}: {worker.host} pid {worker.pid}, {worker.workers} x {worker.worker_type}, "
            f"{state}{off}, {doing}"
        )
    return lines


def warnings(found: Any) -> list[str]:
    """What does not keep the service from being ready. On a host that only runs consumers, a history on another one is
    as it should be."""
    elsewhere = found.history.elsewhere
    return [*found.warnings, *found.history.warnings, *([elsewhere] if elsewhere else [])]


def paused(found: Any) -> list[str]:
    """What is paused, as `task NAME` and `queue NAME`."""
    names = [f"task {task.name}" for task in found.tasks if task.paused]
    return names + [f"queue {queue.name}" for queue in found.queues if queue.paused]
