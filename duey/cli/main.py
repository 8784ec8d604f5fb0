"""The command `duey`: makes and runs a service, looks at it and changes it by hand, with or without the web process.

Exit status 0; 1 with one sentence on standard error; 2 for bad usage. A secret that is made is printed alone on the
last line of standard output, once. Every change is written to the audit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from duey import __version__, config
from duey.cli import accounts, copies, history, jobs, schedules, services, state
from duey.cli.context import Office, Refused, say


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = parsed(argv)
    if hasattr(options, "service"):
        try:
            return services.command_of(options)
        except (Refused, OSError) as exc:
            print(exc, file=sys.stderr)
            return 1
    from duey import errors
    from duey.monitor.access import AccessError

    try:
        return int(options.run(Office(), options) or 0)
    except config.ConfigError as exc:
        print(exc, file=sys.stderr)  # a line for each fault
        return 1
    except (errors.DueyError, AccessError, Refused) as exc:
        say(exc, err=True)
        return 1
    except OSError as exc:
        say(f"{exc.filename or 'a file'} cannot be used: {exc.strerror}", err=True)
        return 1
    except KeyboardInterrupt:
        return 1


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options; arguments of a call may also stand behind them, where argparse does not look for them."""
    top = parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["worker"]:  # its options are huey_consumer's
        return argparse.Namespace(service="worker", arguments=words[1:])
    options, rest = top.parse_known_args(words)
    if rest and (not hasattr(options, "args") or any(word.startswith("--") for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.args = [*options.args, *rest]
    return options


def parser() -> argparse.ArgumentParser:
    """Every command with its help."""
    program = Path(sys.argv[0]).name
    top = argparse.ArgumentParser(
        prog=program if program == "manage.py" else "duey", description="Run a Duey service, and look after it."
    )
    top.add_argument("--version", action="version", version=f"Duey {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    made = commands.add_parser("init", help="Write tasks.py, periodic.py, config.ini and .gitignore into a folder.")
    made.add_argument("folder", metavar="FOLDER")
    made.set_defaults(service="init")
    commands.add_parser("run", help="Serve web and one consumer.").set_defaults(service="run")
    commands.add_parser("web", help="Serve the web alone.").set_defaults(service="web")
    made = commands.add_parser("worker", help="Run a consumer: huey_consumer and its options.", add_help=False)
    made.add_argument("arguments", nargs=argparse.REMAINDER)
    made.set_defaults(service="worker")

    def command(parent: Any, name: str, run: Callable[..., Any], *arguments: tuple[Any, ...], text: str = "") -> Any:
        made = parent.add_parser(name, help=text or (run.__doc__ or "").split("\n")[0])
        made.set_defaults(run=run)
        for *flags, extra in arguments:
            made.add_argument(*flags, **extra)
        return made

    stdin = ("--password-stdin", {"action": "store_true", "help": "read the password from standard input"})
    command(commands, "check", state.check)
    command(commands, "status", state.status)
    user = commands.add_parser("user", help="accounts of the monitor").add_subparsers(required=True, metavar="WHAT")
    role = ("--role", {"choices": ("admin", "viewer"), "default": "viewer"})
    command(user, "add", accounts.user_add, ("name", {}), role, stdin)
    command(user, "password", accounts.user_password, ("name", {}), stdin)
    command(user, "list", accounts.user_list)
    command(user, "role", accounts.user_role, ("name", {}), ("role", {"choices": ("admin", "viewer")}))
    command(user, "remove", accounts.user_remove, ("name", {}))
    token = commands.add_parser("token", help="tokens of the API").add_subparsers(required=True, metavar="WHAT")
    scope = ("--scope", {"default": "read,enqueue", "help": "of read, enqueue, admin"})
    expires = ("--expires", {"metavar": "LENGTH", "help": "such as 12h, 90d or 52w; else it never expires"})
    command(token, "create", accounts.token_create, ("name", {}), scope, expires)
    command(token, "list", accounts.token_list)
    command(token, "revoke", accounts.token_revoke, ("name", {}))
    command(
        commands, "enqueue", jobs.enqueue, ("task", {}), ("args", {"nargs": "*", "help": "JSON or text; name=value"}),
        ("--delay", {"type": float, "metavar": "S"}), ("--wait", {"action": "store_true"}),
    )  # fmt: skip
    target = ("target", {"metavar": "ID"})
    command(commands, "retry", jobs.verb("retry", "queued again"), target, text="Run an ended job again.")
    command(commands, "cancel", jobs.verb("cancel", "canceled"), target, text="Cancel a job, or ask it to stop.")
    for verb, text in (("pause", "Let the jobs of a task, or of a queue, wait."), ("resume", "End a pause.")):
        which = command(commands, verb, jobs.steer(verb), text=text).add_mutually_exclusive_group(required=True)
        which.add_argument("target", metavar="TASK", nargs="?")
        which.add_argument("--queue", metavar="NAME")
    schedule = commands.add_parser("schedule", help="what runs when").add_subparsers(required=True, metavar="WHAT")
    name: tuple[Any, ...] = ("name", {})
    values = ("args", {"nargs": "*", "help": "JSON or text; name=value"})
    command(schedule, "list", schedules.schedule_list)
    for verb, run in (("add", schedules.schedule_add), ("change", schedules.schedule_change)):
        command(
            schedule, verb, run, name, ("task", {}), values,
            ("--cron", {"metavar": "EXPR", "help": "five fields, or @daily and the like"}),
            ("--every", {"type": float, "metavar": "S", "help": "seconds"}),
            ("--at", {"metavar": "T", "help": "once, such as 2030-01-31T14:00"}),
            ("--tz", {"metavar": "ZONE", "help": "such as Europe/Zagreb; else [schedule] timezone"}),
            ("--catch-up", {"choices": ("skip", "once", "all"), "help": "what runs of that which was missed"}),
            ("--window", {"type": float, "metavar": "S", "help": "seconds: what was missed before is left alone"}),
            ("--overlap", {"choices": ("skip", "queue", "allow"), "help": "while the run before it goes on"}),
        )  # fmt: skip
    command(schedule, "remove", schedules.schedule_remove, name)
    command(schedule, "run", schedules.schedule_run, name, ("--slot", {"metavar": "T", "help": "one that was missed"}))
    command(schedule, "pause", schedules.verb("pause", "paused"), name, text="Let no slot of a schedule run.")
    command(schedule, "resume", schedules.verb("resume", "resumed"), name, text="Let its slots run again.")
    form = ("--format", {"choices": ("csv", "json"), "default": "csv", "help": "json: an object a line"})
    command(commands, "audit", accounts.audit, form)
    command(commands, "record", history.record)
    command(commands, "prune", history.prune)
    folder = ("folder", {"metavar": "FOLDER"})
    command(commands, "backup", copies.backup, folder)
    command(commands, "restore", copies.restore, folder)
    return top
