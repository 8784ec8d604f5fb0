"""Schedules: list, add, change, remove, run, pause, resume. Consumers see a change within two seconds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from duey.cli import output
from duey.cli.commands.enqueue import call_of
from duey.cli.context import CliContext, Refused, cli_name, echo
from duey.cli.output import Column

COLUMNS = (
    Column("SCHEDULE"), Column("TASK", cut=True, drop=2), Column("WHEN", cut=True), Column("ZONE", drop=1),
    Column("NEXT", cut=True), Column("LAST", cut=True),
)  # fmt: skip


def schedule_list(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the schedules: name, task, timetable, time zone, next run, outcome of the last one.

    Times are those of the schedule's zone. With --json: `schedules`, each as in `GET /api/schedules`.
    """
    from duey.api.views import schedule_view

    output.show(options, "schedules", cli_context.control.schedules.all(), schedule_view, COLUMNS, row_of)


def row_of(schedule: Any) -> tuple[object, ...]:
    """A schedule as a line of the list."""
    if schedule.paused:
        upcoming = "paused"
    elif schedule.next_at:
        upcoming = f"next {shown(schedule.next_at[0], schedule.tz)}"
    elif schedule.problem:
        upcoming = f"broken: {schedule.problem}"
    else:
        upcoming = "never again" if schedule.is_over else "next when its function says so"
    slot = schedule.slots[0] if schedule.slots else None
    last = "no slot yet" if slot is None else f"{slot.outcome}, {shown(slot.at, schedule.tz)}"
    return schedule.name, schedule.task, schedule.words or schedule.expression, schedule.tz, upcoming, last


def schedule_add(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Create a schedule.

    Example: `schedule add nightly import_csv --cron "0 3 * * *" data.csv`. One of --cron, --every and --at is required.
    """
    schedules = cli_context.control.schedules
    made = schedules.shown(schedules.make(options.name, request_of(cli_context, options)))
    cli_context.audit("make schedule", made.name, detail=made.summary)
    echo(f"created {made.name}: {made.words}{first(made)}")


def schedule_change(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Replace a schedule that was created by hand.

    Options that are left out get their defaults, as with `schedule add`; they do not keep their present values.
    """
    schedules = cli_context.control.schedules
    before = schedules.get(options.name)
    changed = schedules.shown(schedules.change(options.name, request_of(cli_context, options)))
    cli_context.audit("change schedule", changed.name, detail=before.change_to(changed))
    echo(f"changed {changed.name}: {changed.words}{first(changed)}")


def request_of(cli_context: CliContext, options: argparse.Namespace) -> Any:
    """Build the request that the options describe."""
    from duey.control.schedules import ScheduleRequest

    args, kwargs = call_of(cli_context, options.task, options.args)
    return ScheduleRequest(
        options.task, args, kwargs, cron=options.cron, every_s=options.every, tz=options.tz,
        at=None if options.at is None else instant(options.at, options.tz or cli_context.settings.schedule.timezone),
        catch_up=options.catch_up, overlap=options.overlap, window_s=options.window,
    )  # fmt: skip


def first(schedule: Any) -> str:
    """The end of a sentence: when the schedule runs next, or an empty text."""
    return f", next at {shown(schedule.next_at[0], schedule.tz)} ({schedule.tz})" if schedule.next_at else ""


def schedule_remove(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Remove a schedule that was created by hand. Its jobs are kept."""
    cli_context.control.schedules.remove(options.name)
    cli_context.audit("remove schedule", options.name)
    echo(f"removed {options.name}")


def schedule_run(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Run a schedule's task now, or for a due time that was missed, and print the id of the job."""
    at = None if options.slot is None else instant(options.slot, cli_context.control.schedules.get(options.name).tz)
    job_id = cli_context.control.schedules.run_now(options.name, at, cli_name())
    cli_context.audit("run schedule", options.name, detail=f"as {job_id}")
    echo(job_id)


def verb(name: str, done: str) -> Callable[[CliContext, argparse.Namespace], None]:
    """A command that calls one method on one schedule."""

    def run(cli_context: CliContext, options: argparse.Namespace) -> None:
        getattr(cli_context.control.schedules, name)(options.name)
        cli_context.audit(f"{name} schedule", options.name)
        echo(f"{done} {options.name}")

    return run


def shown(at: float, tz: str) -> str:
    """An instant (epoch seconds) as local time of the zone."""
    return f"{datetime.fromtimestamp(at, ZoneInfo(tz)):%Y-%m-%d %H:%M:%S}"


def instant(text: str, tz: Any) -> float:
    """Epoch seconds of a text such as `2030-01-31 14:00`, read in the zone `tz` unless it names its own offset."""
    from duey.scheduling.timezones import zone

    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone(tz))).astimezone(timezone.utc).timestamp()
    except (ValueError, OverflowError):
        raise Refused(f"expected a time such as 2030-01-31T14:00, found {text!r}") from None
