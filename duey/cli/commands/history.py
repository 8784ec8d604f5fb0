"""The history: record it without a web process, move the recording here, and prune it."""

from __future__ import annotations

import argparse
import signal

from duey.cli.context import CliContext, Refused, echo
from duey.cli.progress import Progress


def record(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Record what happens to jobs, where no web process runs.

    Runs in the foreground until SIGINT or SIGTERM. Of several recorders of one history one works at a time; the others
    wait. Only one history of a queue is recorded: if that is another one, on another host for example, this ends with
    exit status 1. With --take-over what happens from now on goes into the history of this host; what the other one
    holds stays there. The command ends then, and the web process here, or `duey record`, records.
    """
    from duey.os_process import StopFlag  # imported late: it reads the settings, whose errors cli/main.py reports

    if options.take_over:
        take_over(cli_context)
        return
    control, history, stop = cli_context.control, cli_context.history, StopFlag()
    stop.set_by(signal.SIGINT, signal.SIGTERM)
    if not cli_context.elsewhere():
        echo("recording; Ctrl-C ends it")
    huey = control.huey
    recorder = history.recorder(huey.lifecycle, control.workers, control.schedules.all, huey.renamed.former())
    recorder.run(stop, lambda: history.elsewhere)
    if history.elsewhere:
        raise Refused(history.elsewhere)


def take_over(cli_context: CliContext) -> None:
    """Let the history of this host own what happens from now on."""
    from duey.monitor.history import ownership

    database, storage = cli_context.history.database, cli_context.huey.storage
    before = storage.outbox_owner()
    owner = storage.own_outbox(ownership.identity(database), database.where(), take_over=True)
    formerly = f" What {before.where} holds until now stays there." if before and before.where != owner.where else ""
    echo(f"from now on jobs are recorded at {owner.where}, by the web process here or `duey record`.{formerly}")
    cli_context.audit("take over", "history", detail=owner.where)


def prune(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Remove from history and audit log what their retention settings ([monitor], [auth]) would remove later."""
    with Progress("prune") as progress:
        done = cli_context.history.prune(lambda jobs: progress(jobs, note="jobs removed"))
        lines = cli_context.access.audit.prune()
    cli_context.audit("prune", "history", done.jobs)
    echo(
        f"removed {done.jobs} jobs, {done.figures} rows of figures, {done.groups} error groups, "
        f"{lines} lines of the audit"
    )
