"""Actions on jobs: retry, cancel, delete, run now; on one, or on all that match a filter."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from duey import clock
from duey.cli import output
from duey.cli.commands.jobs import wanted
from duey.cli.context import DONE, FAILED, USAGE, CliContext, Refused, echo
from duey.cli.progress import Progress

DONE_WORDS = {"retry": "queued again", "cancel": "canceled", "delete": "deleted", "run now": "queued now"}


def verb(name: str) -> Callable[[CliContext, argparse.Namespace], int]:
    """The command `retry`, `cancel` or `delete`: for the jobs whose ids are given, or for all that match a filter."""

    def run(cli_context: CliContext, options: argparse.Namespace) -> int:
        asked, ids = wanted(options), list(dict.fromkeys(options.ids))
        if ids and not (asked.is_empty and not asked.state):
            raise Refused("expected ids or a filter, found both: leave one out", USAGE)
        if not ids:
            many(cli_context, name, asked, options.yes)
            return DONE
        if name == "delete" and not output.confirmed(f"Delete {', '.join(ids)} for ever?", options.yes):
            raise Refused("nothing was changed")
        return max([one(cli_context, name, job_id) for job_id in ids])

    return run


def run_now(cli_context: CliContext, options: argparse.Namespace) -> int:
    """Run scheduled jobs now, ahead of their time."""
    return max([one(cli_context, "run now", job_id) for job_id in dict.fromkeys(options.ids)])


def one(cli_context: CliContext, name: str, job_id: str) -> int:
    """Act on one job, and return the exit status."""
    from duey.errors import BadRequest, Conflict
    from duey.monitor.web.verbs import Verbs

    try:
        if name == "run now":
            cli_context.control.run_now(job_id)
        else:
            Verbs(cli_context.control, cli_context.history).one(name, job_id, None)
    except (BadRequest, Conflict) as exc:
        echo(exc, err=True)
        return FAILED
    cli_context.audit(name, job_id)
    echo(f"{DONE_WORDS[name]} {job_id}")
    return DONE


def many(cli_context: CliContext, name: str, asked: Any, yes: bool) -> None:
    """Act on all jobs that match, in the states that need it or in the one that is named, once the operator agrees."""
    from dataclasses import replace

    from duey.monitor.web.display.formats import count
    from duey.monitor.web.listing import Listing
    from duey.monitor.web.verbs import NEEDS, Verbs

    if asked.is_empty and not asked.state:
        raise Refused(f"expected ids of jobs, or a filter such as --state failed --since 2h: say what to {name}", USAGE)
    states = (asked.state,) if asked.state else NEEDS[name]
    now, listing = clock.now(), Listing(cli_context.control, cli_context.history)
    counts = {state: listing.count(replace(asked.wanted, state=state)) for state in states}
    shown = ", ".join(f"{count(each)} {state}" for state, each in counts.items() if each.number)
    if not shown:
        raise Refused(f"no job matches that is {' or '.join(states)}: nothing was changed")
    again = " Whatever they did will happen a second time." if name == "retry" and "done" in states else ""
    if not output.confirmed(f"{name.capitalize()} these jobs: {shown}?{again}", yes):
        raise Refused("nothing was changed")
    until = replace(asked.wanted, until=min(now, asked.wanted.until or now))  # what changed since is left alone
    with Progress(name) as progress:
        verbs = Verbs(cli_context.control, cli_context.history, float("inf"))
        tally = verbs.all(name, states, until, lambda tally: progress(tally.done, note="jobs"))
    target = f"{asked.state or 'all'} {asked.task} {asked.box}".strip()
    cli_context.audit(f"{name} jobs", target, tally.done, f"left alone: {tally.refused}")
    echo(tally.sentence(name))
