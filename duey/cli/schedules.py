"""Schedules by hand: list, add, change, remove, run, pause, resume; the consumers see a change within two seconds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from duey.cli.context import Office, Refused, cli_name, say
from duey.cli.jobs import call_of


def schedule_list(office: Office, options: argparse.Namespace) -> None:
    """List the schedules: name, task, rhythm, zone, next slot, what became of the last one."""
    for each in office.control.schedules.all():
        if each.paused:
            upcoming = "paused"
        elif each.next_at:
            upcoming = f"next {shown(each.next_at[0], each.tz)}"
        elif each.problem:
            upcoming = f"broken: {each.problem}"
        else:
            upcoming = "never again" if each.is_over else "next when its function says so"
        last = f"{each.slots[0].outcome}, {shown(each.slots[0].at, each.tz)}" if each.slots else "no slot yet"
        say(each.name, each.task, each.words or each.expression, each.tz, upcoming, last)


def schedule_add(office: Office, options: argparse.Namespace) -> None:
    """Make a schedule: `schedule add nightly import_csv --cron "0 3 * * *" data.csv`."""
    made = office.control.schedules.make(options.name, request_of(office, options))
    office.audit("make schedule", made.name, detail=f"{made.task}: {made.expression}")
    say(f"made {made.name}: {made.words}{first(made)}")


def schedule_change(office: Office, options: argparse.Namespace) -> None:
    """Replace what a schedule that was made by hand runs, and when: everything is said anew, as for `schedule add`."""
    changed = office.control.schedules.change(options.name, request_of(office, options))
    office.audit("change schedule", changed.name, detail=f"{changed.task}: {changed.expression}")
    say(f"changed {changed.name}: {changed.words}{first(changed)}")


def request_of(office: Office, options: argparse.Namespace) -> Any:
    """The schedule that the options describe."""
    from duey.control.schedules import ScheduleRequest

    args, kwargs = call_of(office, options.task, options.args)
    return ScheduleRequest(
        options.task, args, kwargs, cron=options.cron, every_s=options.every, tz=options.tz,
        at=None if options.at is None else instant(options.at, options.tz or office.settings.schedule.timezone),
        catch_up=options.catch_up, overlap=options.overlap, window_s=options.window,
    )  # fmt: skip


def first(schedule: Any) -> str:
    """When its next slot is, as the end of a sentence."""
    return f", next at {shown(schedule.next_at[0], schedule.tz)}" if schedule.next_at else ""


def schedule_remove(office: Office, options: argparse.Namespace) -> None:
    """Forget a schedule that was made by hand; jobs that it made are kept."""
    office.control.schedules.remove(options.name)
    office.audit("remove schedule", options.name)
    say(f"removed {options.name}")


def schedule_run(office: Office, options: argparse.Namespace) -> None:
    """Run a schedule's task now, or for a slot that did not run (--slot)."""
    at = None if options.slot is None else instant(options.slot, office.control.schedules.get(options.name).tz)
    job_id = office.control.schedules.run_now(options.name, at, cli_name())
    office.audit("run schedule", options.name, detail=f"as {job_id}")
    say(job_id)


def verb(name: str, done: str) -> Callable[[Office, argparse.Namespace], None]:
    """A command that is one verb on one schedule."""

    def run(office: Office, options: argparse.Namespace) -> None:
        getattr(office.control.schedules, name)(options.name)
        office.audit(f"{name} schedule", options.name)
        say(f"{done} {options.name}")

    return run


def shown(at: float, tz: str) -> str:
    """An instant as the clock of the zone shows it."""
    return f"{datetime.fromtimestamp(at, ZoneInfo(tz)):%Y-%m-%d %H:%M:%S}"


def instant(text: str, tz: Any) -> float:
    """`2030-01-31 14:00` in a zone, or with a zone of its own, as epoch seconds."""
    from duey.scheduling.timezones import zone

    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone(tz))).astimezone(timezone.utc).timestamp()
    except (ValueError, OverflowError):
        raise Refused(f"expected a time such as 2030-01-31T14:00, found {text!r}") from None
