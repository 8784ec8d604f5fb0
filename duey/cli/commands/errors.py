"""Errors: failed attempts by cause, one cause in full, and the marks muted, fixed and open."""

from __future__ import annotations

import argparse
from typing import Any

from duey import clock
from duey.cli import output
from duey.cli.context import USAGE, CliContext, Refused, echo
from duey.cli.output import Column, when, when_short

COLUMNS = (
    Column("ID"), Column("COUNT"), Column("LAST"), Column("STATE", drop=2), Column("TASK", cut=True, drop=1),
    Column("WHAT", cut=True),
)  # fmt: skip
MARKS = {"mute": "muted", "fix": "fixed", "reopen": "open"}


def errors(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the errors by cause, the last seen first; or show or mark the one with this id.

    One in full: where it was raised, how often in the last hour, day and week, and its last job. --mute keeps it out of
    the list, --fix brings it back as regressed if it fails again, --reopen undoes both.

    With --json: `errors`, each as in `GET /api/errors`, and `next`; of one also `frames`.
    """
    if options.id is None:
        if any(getattr(options, mark) for mark in MARKS):
            raise Refused("expected the id of an error beside --mute, --fix or --reopen", USAGE)
        listed(cli_context, options)
        return
    for mark, state in MARKS.items():
        if getattr(options, mark):
            group = known(cli_context.history.mark_group(options.id, state), options.id)
            cli_context.audit(f"{mark} error", f"{group.type} in {group.task}", group.count, group.fingerprint)
    group = known(cli_context.history.error_group(options.id), options.id)
    if options.json:
        output.print_json(as_json(group))
        return
    for line in output.facts(facts_of(group, cli_context.control.runbook(group.qualname))):
        echo(line)


def listed(cli_context: CliContext, options: argparse.Namespace) -> None:
    """The list."""
    from duey.api.views import ERROR_GROUP
    from duey.monitor.web.listing import newest_errors

    state = None if options.state == "all" else options.state
    text = " ".join(options.search) if options.search else None
    page = newest_errors(cli_context.history, state, options.task, text, options.limit, options.cursor)
    output.show(options, "errors", page.groups, ERROR_GROUP.of, COLUMNS, row_of, next=page.next)
    if page.next and not options.json:
        echo(f"for older ones add: --cursor {page.next}", err=True)
    if not options.json and (elsewhere := cli_context.elsewhere()):
        echo(f"warning: {elsewhere}", err=True)


def row_of(group: Any) -> tuple[object, ...]:
    """A group as a line of the list."""
    seen, what = when_short(group.last_seen, clock.now()), f"{group.type}: {group.message}"
    return group.fingerprint, group.count, seen, group.state, group.task, what


def known(group: Any, fingerprint: str) -> Any:
    """The group. Raises Refused where there is none."""
    if group is None:
        raise Refused(f"no error has the id {fingerprint[:100]!r}: `duey errors --state all` lists them")
    return group


def as_json(group: Any) -> dict[str, Any]:
    """One group."""
    from duey.api.views import ERROR_GROUP

    return {**ERROR_GROUP.of(group), "frames": list(group.frames)}


def facts_of(group: Any, runbook: str) -> dict[str, Any]:
    """A group in full, as text."""
    from duey.monitor.web.display.formats import count

    return {
        "error": group.fingerprint, "state": group.state, "what": f"{group.type}: {group.message}",
        "task": f"{group.task} ({group.qualname})",
        "count": f"{group.count} since {when(group.first_seen)}: {count(group.last_hour)} in the last hour, "
        f"{group.last_day} in 24 h, {group.last_week} in 7 days",
        "last": f"{when(group.last_seen)}, job {group.last_job_id}",
        "regressed": group.regressed_at and when(group.regressed_at), "raised in": "\n".join(group.frames),
        "what to do": runbook, "its jobs": f"duey jobs --error {group.fingerprint}",
    }  # fmt: skip
