"""Jobs and tasks: retry, cancel, pause, resume."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from duey.cli.context import CliContext, Refused, echo


def verb(name: str, done: str) -> Callable[[CliContext, argparse.Namespace], None]:
    """A command that calls one method of Control on one job."""

    def run(cli_context: CliContext, options: argparse.Namespace) -> None:
        getattr(cli_context.control, name)(options.target)
        cli_context.audit(name.replace("_", " "), options.target)
        echo(f"{done} {options.target}")

    return run


def steer(name: str) -> Callable[[CliContext, argparse.Namespace], None]:
    """The command `pause` or `resume`, for a task or a queue."""

    def run(cli_context: CliContext, options: argparse.Namespace) -> None:
        from duey.tasks.options import is_name

        if options.queue is None:
            getattr(cli_context.control, f"{name}_task")(options.target)
        elif not is_name(options.queue):
            raise Refused(f"expected the name of a queue, up to 64 letters, digits, _ . or -, found {options.queue!r}")
        else:
            getattr(cli_context.control, f"{name}_queue")(options.queue)
        kind, target = ("task", options.target) if options.queue is None else ("queue", options.queue)
        cli_context.audit(f"{name} {kind}", target)
        echo(f"{name}d the {kind} {target}")

    return run
