"""Import what plain Huey or cron held: import huey, import crontab."""

from __future__ import annotations

import argparse
import contextlib
import sys
from contextlib import closing

from duey.cli.commands.moving import Steps
from duey.cli.context import CliContext, Refused, cli_name, echo


def import_huey(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Take over the tasks that wait or are scheduled in a plain Huey 2 or 3 queue, and its results.

    Stop Huey's consumer and what enqueues first. Tasks keep their ids; one whose name Duey does not know stays where it
    is, as does everything else that is left. Huey's messages are pickles, which can run any code: --unpickle has them
    read in a process of their own without network, files and rights, where they can name only classes of --modules.
    The command can be repeated.
    """
    from duey.moving.from_huey import HueyImport
    from duey.moving.places import huey_queue_at
    from duey.moving.sandbox import Sandbox

    with closing(huey_queue_at(getattr(options, "from"), cli_context.settings, options.name)) as source:
        counts = source.counts()
        tell = Steps()
        tell("found", f"{source.label}: " + ", ".join(f"{count:,} {place}" for place, count in counts.items()))
        if not options.unpickle:
            if not options.dry_run:
                raise Refused(
                    "expected --unpickle, because Huey's messages are pickles: add it to have them read in a process "
                    "that may do nothing else, or --dry-run to count them"
                )
            return
        modules = [name for name in (options.modules or "").replace(",", " ").split() if name]
        with closing(Sandbox(modules, cli_context.settings.root)) as sandbox:
            sandbox.check()
            huey = cli_context.control.huey
            if not options.dry_run:
                huey.storage.prepare()
            done = HueyImport(source, huey, sandbox, cli_name(), tell, options.dry_run).run()
    verb = "would take" if options.dry_run else "took"
    for place, tasks in done.taken.items():
        tell(verb, f"{sum(tasks.values()):,} {place}" + "".join(f", {count:,} {name}" for name, count in tasks.items()))
    tell(verb, f"{done.results:,} results and revocations")
    for reason, count in done.left.most_common():
        tell("left", f"{count:,}: {reason}")
    if done.taken_by_others:
        tell(
            "warning",
            f"{done.taken_by_others:,} were also taken by a consumer of Huey meanwhile, and may run twice: stop it",
        )
    if not options.dry_run:
        count = sum(sum(tasks.values()) for tasks in done.taken.values())
        cli_context.audit("import huey", source.label, count=count)


def import_crontab(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Create a schedule for each line of a crontab. It runs --task with the command line as its argument.

    No task that runs commands comes along: docs/coming-from.md has one to copy. Times are those of CRON_TZ in the file,
    --tz, or this machine's zone. What cannot be kept is said, with the number of its line. Take the lines out of cron
    afterwards. Importing the same file again creates nothing twice. FILE may be -, for standard input.
    """
    from duey.control.call import bind
    from duey.control.schedules import ScheduleRequest
    from duey.errors import BadRequest, ScheduleExists
    from duey.moving import crontab
    from duey.scheduling.timetable import Cron
    from duey.scheduling.timezones import zone

    if options.task is None:
        raise Refused("expected a task that is given the command line, found none: name it with --task")
    known, settings = cli_context.known, cli_context.settings
    signature = known.signature(known.find(options.task))
    tz = str(zone(options.tz)) if options.tz else crontab.system_zone() or settings.schedule.timezone
    with contextlib.nullcontext(sys.stdin) if options.file == "-" else open(options.file, encoding="utf-8") as file:
        try:
            found = crontab.read(file, options.user_column)
        except UnicodeDecodeError:
            raise Refused(f"expected a text in UTF-8 in {options.file}, found other bytes: save it as UTF-8") from None
    counts = {"created": 0, "there before": 0}
    for line in found.lines:
        own_tz = line.tz or tz
        words = f"{Cron(expression=line.expression).words} ({own_tz}): {line.command}"
        try:
            if options.dry_run:
                bind(signature, [line.command], {})
                echo(f"would create {line.name}: {words}")
                continue
            request = ScheduleRequest(options.task, [line.command], cron=line.expression, tz=own_tz)
            cli_context.control.schedules.make(line.name, request)
        except ScheduleExists:
            counts["there before"] += 1
        except BadRequest as exc:
            raise Refused(f"line {line.number}: {exc}") from None
        else:
            cli_context.audit("make schedule", line.name, detail=words)
            echo(f"created {line.name}: {words}")
            counts["created"] += 1
    for sentence in found.left:
        echo(f"left     {sentence}")
    if not options.dry_run:
        echo(", ".join(f"{count} {what}" for what, count in counts.items()))
