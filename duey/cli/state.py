"""Inspect the service: status."""

from __future__ import annotations

import argparse
import time

from duey.cli import alerts
from duey.cli.context import CliContext, Refused, echo


def status(cli_context: CliContext, options: argparse.Namespace) -> int:
    """Print the state of the service: jobs, pauses, queues, consumers, open incidents and channels that fail.

    Exit status 1 if the service is not ready, for example because no consumer runs.
    """
    health, counts = cli_context.control.health(), cli_context.control.counts()
    echo("ready" if health.ok else "NOT READY: " + "; ".join(health.problems))
    for warning in health.warnings:
        echo(f"warning: {warning}")
    age = "" if counts.oldest_queued_at is None else f" (oldest {time.time() - counts.oldest_queued_at:.0f} s)"
    echo(f"queued {counts.queued}{age}, running {counts.running}, retrying {counts.retrying}, "
          f"scheduled {counts.scheduled}, blocked {counts.blocked}")  # fmt: skip
    workers, queues = cli_context.control.workers(), cli_context.control.queues()
    paused = [f"task {task.name}" for task in cli_context.control.tasks() if task.paused]
    paused += [f"queue {queue.name}" for queue in queues if queue.paused]
    if paused:
        echo(f"paused: {', '.join(paused)}")
    for each in cli_context.control.stranded(workers, queues):
        echo(f"{each} ({'[consumer] queues' if each.kind == 'queue' else '[tasks] modules'})")
    for worker in workers:
        state = "alive" if worker.alive else "dead"
        doing = ", ".join(job.task for job in worker.running) or "idle"
        echo(
            f"worker {worker.id}: {worker.host} pid {worker.pid}, "
            f"{worker.workers} x {worker.worker_type}, {state}, {doing}"
        )
    alerts.show_state(cli_context)
    if not health.ok:
        raise Refused("the service is not ready: " + "; ".join(health.problems))
    return 0
