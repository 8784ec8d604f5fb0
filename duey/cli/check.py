"""`duey check`: would a start succeed? Opens nothing as a service does, and changes nothing."""

from __future__ import annotations

import argparse
import sys

from duey.cli.checks import FAIL, databases
from duey.cli.checks import settings as deploy
from duey.cli.context import CliContext, Refused, echo


def check(cli_context: CliContext, options: argparse.Namespace) -> int:
    """Check settings, task files and databases: would a start succeed? Changes nothing.

    Says of each database whether the next start makes or migrates it. With --deploy also name what remains open for
    production, one line for each thing: ok, warn or fail, and what to do. Exit status 1 if a line says fail.
    """
    from duey.alerts.channels import channels_of
    from duey.control.call import unusable_hints
    from duey.execution.left_behind import elsewhere

    sys.dont_write_bytecode = True  # of task modules
    settings, channels = cli_context.settings, channels_of(cli_context.settings)
    known = cli_context.known
    names = [known.short(known.full(cls)) for cls in known.all()]
    found = databases.looked_at(settings, cli_context.huey)
    if moved := cli_context.huey.storage.fence():
        raise Refused(moved)
    warnings = [*cli_context.huey.storage.warnings(), *elsewhere(settings), *unusable_hints(known)]
    echo(f"settings  {settings.source}")
    echo(f"storage   {settings.storage.backend}, usable")
    for database in found:
        echo(f"database  {database.text}")
    echo(f"tasks     {len(names)}: {', '.join(names)}")
    echo(f"alerts    {', '.join(channels) or 'nobody is told: name a channel in [alerts]'}")
    if not options.deploy:
        dangers = (*deploy.files(settings), *deploy.signing(settings))
        warnings += [f"{each.subject}: {each.text}" for each in dangers if each.level == FAIL]
    for warning in warnings:
        echo(f"warning   {warning}")
    if options.deploy:
        open_things = deploy.findings(settings, set(names))
        for level, subject, text in open_things:
            echo(f"{level:<8}  {subject}: {text}")
        if failed := [each.subject for each in open_things if each.level == FAIL]:
            raise Refused(f"not ready for production: fix {', '.join(failed)}")
    return 0
