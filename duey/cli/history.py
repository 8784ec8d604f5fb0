"""The books by hand: record without a web process, and prune."""

from __future__ import annotations

import argparse
import signal

from duey.cli.context import Office, say


def record(office: Office, options: argparse.Namespace) -> None:
    """Write the books, until stopped, where no web process does."""
    from duey.os_process import StopFlag  # here: it reads the settings, and manage.py says what is wrong there

    stop = StopFlag()
    stop.set_by(signal.SIGINT, signal.SIGTERM)
    say("recording; Ctrl-C ends it")
    control = office.control
    office.books.recorder(control.storage, control.workers, control.schedules.all).run(stop)


def prune(office: Office, options: argparse.Namespace) -> None:
    """Remove now what the retention of [monitor] and [auth] would remove later."""
    done, lines = office.books.prune(), office.access.audit.prune()
    office.audit("prune", "books", done.jobs)
    say(
        f"removed {done.jobs} jobs, {done.figures} rows of figures, {done.groups} error groups, "
        f"{lines} lines of the audit"
    )
