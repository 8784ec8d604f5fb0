"""`duey check`: would a start succeed? Opens nothing as a service does, and changes nothing."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from duey.cli import output
from duey.cli.checks import FAIL, databases
from duey.cli.checks import settings as deploy
from duey.cli.context import CliContext, Refused, echo


def check(cli_context: CliContext, options: argparse.Namespace) -> int:
    """Check settings, task files and databases: would a start succeed? Changes nothing.

    Says of each database whether the next start makes or migrates it. With --queue also binds every job that has not
    ended, and every schedule made at run time, to the tasks of these task files: run it with new code before you deploy
    it. With --deploy also name what remains open for production, one line for each thing: ok, warn or fail, and what to
    do. Exit status 1 if something does not fit, or if a line says fail.
    """
    from duey.alerts.channels import channels_of
    from duey.control.call import unusable_hints
    from duey.execution.left_behind import elsewhere

    sys.dont_write_bytecode = True  # of task modules
    settings, known = cli_context.settings, cli_context.known
    names = [known.short(known.full(cls)) for cls in known.all()]
    channels = list(channels_of(settings))
    looked_at = databases.looked_at(settings, cli_context.huey)
    if moved := cli_context.huey.storage.fence():
        raise Refused(moved)
    found: dict[str, Any] = {
        "settings": str(settings.source),
        "storage": settings.storage.backend,
        "databases": [asdict_of(each) for each in looked_at],
        "tasks": names,
        "alerts": channels,
        "warnings": [*cli_context.huey.storage.warnings(), *elsewhere(settings), *unusable_hints(known)],
    }
    if options.deploy:
        found["deploy"] = [each._asdict() for each in deploy.findings(settings, set(names))]
    else:
        dangers = (*deploy.files(settings), *deploy.signing(settings))
        found["warnings"] += [f"{each.subject}: {each.text}" for each in dangers if each.level == FAIL]
    if options.queue:
        from duey.cli.checks import queue

        report = queue.fit(cli_context.huey, known)
        found["queue"] = {
            "jobs": report.jobs, "schedules": report.schedules, "misfits": report.misfits,
            "reasons": [asdict(each) for each in report.reasons],
        }  # fmt: skip
    refusal = refused(found)
    if options.json:
        output.print_json({"ok": not refusal, **found})
    else:
        show(found)
        for reason in report.reasons if options.queue else ():
            echo(f"misfit    {reason.text}")
    if refusal:
        raise Refused(refusal)
    return 0


def asdict_of(database: databases.Database) -> dict[str, Any]:
    return {**database._asdict(), "text": database.text}


def show(found: dict[str, Any]) -> None:
    """Print what was found, a line for each thing."""
    echo(f"settings  {found['settings']}")
    echo(f"storage   {found['storage']}, usable")
    for database in found["databases"]:
        echo(f"database  {database['text']}")
    echo(f"tasks     {len(found['tasks'])}: {', '.join(found['tasks'])}")
    echo(f"alerts    {', '.join(found['alerts']) or 'nobody is told: name a channel in [alerts]'}")
    for warning in found["warnings"]:
        echo(f"warning   {warning}")
    for each in found.get("deploy", ()):
        echo(f"{each['level']:<8}  {each['subject']}: {each['text']}")
    if queue := found.get("queue"):
        fits = queue["jobs"] + queue["schedules"] - queue["misfits"]
        echo(f"queue     {queue['jobs']:,} jobs and {queue['schedules']:,} schedules looked at, {fits:,} fit")


def refused(found: dict[str, Any]) -> str:
    """Why the exit status is 1, or ""."""
    problems = []
    if queue := found.get("queue"):
        total = queue["jobs"] + queue["schedules"]
        if queue["misfits"]:
            problems.append(
                f"{queue['misfits']:,} of {total:,} jobs and schedules do not fit these task files: correct them, or "
                "give the tasks aliases= or accepts="
            )
    if failed := [each["subject"] for each in found.get("deploy", ()) if each["level"] == FAIL]:
        problems.append(f"not ready for production: fix {', '.join(failed)}")
    return "; ".join(problems)
