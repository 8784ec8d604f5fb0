"""The history: record it without a web process, and prune it."""

from __future__ import annotations

import argparse
import signal

from duey.cli.context import CliContext, echo
from duey.cli.progress import Progress


def record(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Record what happens to jobs, where no web process runs.

    Runs in the foreground until SIGINT or SIGTERM. Of several recorders one works at a time; the others wait.
    """
    from duey.os_process import StopFlag  # imported late: it reads the settings, whose errors cli/main.py reports

    stop = StopFlag()
    stop.set_by(signal.SIGINT, signal.SIGTERM)
    echo("recording; Ctrl-C ends it")
    control = cli_context.control
    huey = control.huey
    cli_context.history.recorder(huey.lifecycle, control.workers, control.schedules.all, huey.renamed.former()).run(
        stop
    )


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
