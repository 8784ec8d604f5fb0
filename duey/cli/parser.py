"""The command line of `duey`: every command with its arguments and help.

docs/commands.md is generated from it: run `make docs` after changing a command, an option or a docstring that serves as
help.
"""

from __future__ import annotations

import argparse
import inspect
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any

from duey import __version__
from duey.cli import completion
from duey.cli.checks import check, doctor
from duey.cli.commands import (
    accounts,
    alerts,
    copies,
    enqueue,
    errors,
    history,
    imports,
    jobs,
    moving,
    schedules,
    services,
    state,
    tasks,
    verbs,
)
from duey.model.job import STATES

FILTERED = """: those whose ids are given, or all that match a filter.

With a filter it counts them by state and asks first; --yes answers where no terminal is there. Without --state it acts
on the jobs that need it"""
RETRY = f"Run jobs that have ended again{FILTERED}: failed, canceled and expired ones."
CANCEL = f"Cancel waiting jobs, or ask running ones to stop{FILTERED}: all that have not ended."
DELETE = f"Remove ended jobs from queue and history{FILTERED}: all that have ended. Asks for ids as well."
PAUSE = "Pause a task or a queue: jobs are accepted, but none starts until it is resumed."
PAUSE_SCHEDULE = "Pause a schedule: its due times are recorded, but nothing runs."
RESUME = "Resume a paused task or queue."


def from_one(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


AS_JSON = ("--json", {"action": "store_true", "help": "print one JSON object"})
FORMS = AS_JSON, ("--csv", {"action": "store_true", "help": "print CSV with the fields of --json"})
WORD = {"metavar": "TEXT", "nargs": "+"}
PAGE = (
    *FORMS, ("--limit", {"type": from_one, "default": 25, "metavar": "N", "help": "how many at most"}),
    ("--cursor", {"metavar": "CURSOR", "help": "those after the ones that an earlier call has shown"}),
)  # fmt: skip
WHICH_JOBS = (
    ("--state", {"choices": STATES, "help": "only jobs in this state"}),
    ("--task", {"metavar": "NAME", "help": "only jobs of this task"}),
    ("--queue", {"metavar": "NAME", "help": "only jobs of this queue"}),
    ("--since", {"metavar": "T", "help": "only jobs with an event since then: 90s, 15min, 2h, 3d or a time"}),
    ("--error", {"metavar": "ID", "help": "only jobs that failed for this cause: see duey errors"}),
    ("--by", {"metavar": "NAME", "help": "only jobs that this token, account or cli:USER enqueued"}),
    ("--search", {**WORD, "help": "only jobs that match these words"}),
)  # fmt: skip
ONE_JOB = ("id", {"metavar": "ID", "help": "id of the job"})
YES = ("--yes", {"action": "store_true", "help": "do not ask"})
TASK = ("task", {"help": "name of the task: function, or module.function"})
VALUES = ("args", {"nargs": "*", "help": "arguments of the task: JSON or plain text, by position or as name=value"})


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands, with their help."""
    top = argparse.ArgumentParser(prog="duey", description="Create, run and operate a Duey service.")
    top.add_argument("--version", action="version", version=f"Duey {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for part in (add_services, add_lists, add_access, add_actions, add_schedules, add_upkeep, add_moves):
        part(commands)
    return top


def added(parent: Any, name: str, text: str, **options: Any) -> Any:
    """Add a command with its help, and return its parser."""
    lines = RawDescriptionHelpFormatter
    return parent.add_parser(name, help=text.split("\n")[0], description=text, formatter_class=lines, **options)


def command(parent: Any, name: str, run: Callable[..., Any], *arguments: tuple[Any, ...], text: str = "") -> Any:
    """Add a command that runs this function, whose docstring is its help unless there is a text."""
    made = added(parent, name, text or inspect.getdoc(run) or "")
    made.set_defaults(run=run)
    for *flags, extra in arguments:
        made.add_argument(*flags, **extra)
    return made


def add_services(commands: Any) -> None:
    """Create and run a service, and check it."""
    made = added(commands, "init", inspect.getdoc(services.init) or "")
    made.add_argument("folder", metavar="FOLDER", help="a new folder, or one without these files")
    made.set_defaults(service="init")
    for kind, text in (("run", services.RUN), ("web", services.WEB)):
        made = added(commands, kind, text)
        made.add_argument("--print-password", action="store_true", help=services.PRINT_PASSWORD)
        made.set_defaults(service=kind)
    made = added(commands, "worker", inspect.getdoc(services.worker) or "", add_help=False)
    made.add_argument("arguments", nargs=argparse.REMAINDER)
    made.set_defaults(service="worker")
    made = added(commands, "completion", inspect.getdoc(completion.script) or "")
    made.add_argument("shell", choices=list(completion.SHELLS), help="the shell that you use")
    made.set_defaults(service="completion")
    made = command(
        commands, "check", check.check,
        ("--queue", {"action": "store_true", "help": "also check what waits against these task files"}),
        ("--deploy", {"action": "store_true", "help": "also check for production"}),
        AS_JSON,
    )  # fmt: skip
    made.set_defaults(context={"reads_only": True})
    made = added(commands, "doctor", inspect.getdoc(doctor.doctor) or "")
    made.add_argument("--worker", action="store_true", help="this machine runs `duey worker` and serves no pages")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    made.set_defaults(service="doctor")
    ready = ("--ready", {"action": "store_true", "help": "exit status 0 if it is ready, whatever needs attention"})
    command(commands, "status", state.status, AS_JSON, ready)


def add_lists(commands: Any) -> None:
    """Show jobs, errors, tasks, queues and consumers."""
    command(commands, "jobs", jobs.jobs, *WHICH_JOBS, *PAGE)
    command(commands, "job", jobs.job, ONE_JOB, AS_JSON)
    command(
        commands, "errors", errors.errors, ("id", {"metavar": "ID", "nargs": "?", "help": "id of an error"}),
        ("--state", {"choices": ("open", "muted", "fixed", "all"), "default": "open", "help": "only these"}),
        ("--task", {"metavar": "NAME", "help": "only errors of this task"}),
        ("--search", {**WORD, "help": "only errors with this text in type or message"}),
        *((f"--{mark}", {"action": "store_true", "help": f"mark it as {to}"}) for mark, to in errors.MARKS.items()),
        *PAGE,
    )  # fmt: skip
    command(commands, "tasks", tasks.tasks, *FORMS)
    command(commands, "queues", tasks.queues, *FORMS)
    made = command(commands, "workers", tasks.workers, *FORMS, YES).add_mutually_exclusive_group()
    for verb, text in (("quiet", "ask this worker to take no more jobs"), ("stop", "ask its consumer to stop")):
        made.add_argument(f"--{verb}", metavar="ID", help=text)


def add_access(commands: Any) -> None:
    """Say who may log in, and which programs may call."""
    user = commands.add_parser("user", help="accounts of the monitor").add_subparsers(required=True, metavar="WHAT")
    stdin = ("--password-stdin", {"action": "store_true", "help": "read the password from standard input"})
    login: tuple[Any, ...] = ("name", {"help": "name of the account"})
    roles = {"choices": ("admin", "viewer"), "help": "admin: may change everything; viewer: may only look"}
    command(user, "add", accounts.user_add, login, ("--role", {"default": "viewer", **roles}), stdin)
    command(user, "password", accounts.user_password, login, stdin)
    command(user, "list", accounts.user_list, *FORMS)
    command(user, "role", accounts.user_role, login, ("role", roles))
    end = ("--end", {"action": "store_true", "help": "end them all"})
    command(user, "sessions", accounts.user_sessions, login, end, *FORMS)
    command(user, "reset-totp", accounts.user_reset_totp, login)
    command(user, "remove", accounts.user_remove, login)
    command(user, "copy", accounts.user_copy, ("file", {"help": "the file of accounts, such as data/access.db"}))
    token = commands.add_parser("token", help="tokens of the API").add_subparsers(required=True, metavar="WHAT")
    scopes = "comma-separated list of read, enqueue and admin; read:TASK and enqueue:TASK for one task"
    scope = ("--scope", {"default": "read,enqueue", "help": scopes})
    expires = ("--expires", {"metavar": "LENGTH", "help": "lifetime: 12h, 90d, 52w ... (default: for ever)"})
    again = ("--expires", {"metavar": "LENGTH", "help": "lifetime from now on (default: as long as before)"})
    overlap = {"metavar": "LENGTH", "default": "24h", "help": "how long the old secret stays valid; 0h: not at all"}
    label = ("name", {"help": "name of the token"})
    command(token, "create", accounts.token_create, label, scope, expires)
    command(token, "list", accounts.token_list, *FORMS)
    command(token, "rotate", accounts.token_rotate, label, ("--overlap", overlap), again)
    command(token, "revoke", accounts.token_revoke, label)


def add_actions(commands: Any) -> None:
    """Enqueue jobs, follow them, act on them."""
    command(
        commands, "enqueue", enqueue.enqueue, TASK, VALUES,
        ("--delay", {"type": float, "metavar": "S", "help": "start the job after so many seconds"}),
        ("--wait", {"action": "store_true", "help": "wait for the job to end and print its result"}),
        ("--timeout", {"type": enqueue.seconds, "metavar": "S", "help": "with --wait: wait so many seconds at most"}),
    )  # fmt: skip
    follow = ("--follow", {"action": "store_true", "help": "go on until the job has ended"})
    each = ("--json", {"action": "store_true", "help": "print a JSON object for each line"})
    command(commands, "logs", jobs.logs, ONE_JOB, follow, each)
    ids = ("ids", {"metavar": "ID", "nargs": "*", "help": "ids of jobs"})
    for verb, text in (("retry", RETRY), ("cancel", CANCEL), ("delete", DELETE)):
        command(commands, verb, verbs.verb(verb), ids, *WHICH_JOBS, YES, text=text)
    command(commands, "run-now", verbs.run_now, ("ids", {"metavar": "ID", "nargs": "+", "help": "ids of jobs"}))
    for verb, text in (("pause", PAUSE), ("resume", RESUME)):
        which = command(commands, verb, tasks.steer(verb), text=text).add_mutually_exclusive_group(required=True)
        which.add_argument("target", metavar="TASK", nargs="?", help="name of the task")
        which.add_argument("--queue", metavar="NAME", help="name of a queue, instead of a task")


def add_schedules(commands: Any) -> None:
    """Show schedules, make them, change them, act on them."""
    command(commands, "schedules", schedules.schedule_list, *FORMS, text="The same as `duey schedule list`.")
    schedule = commands.add_parser("schedule", help="schedules").add_subparsers(required=True, metavar="WHAT")
    name = ("name", {"help": "name of the schedule"})
    command(schedule, "list", schedules.schedule_list, *FORMS)
    for verb, run in (("add", schedules.schedule_add), ("change", schedules.schedule_change)):
        command(
            schedule, verb, run, name, TASK, VALUES,
            ("--cron", {"metavar": "EXPR", "help": "cron expression of five fields, or @daily, @hourly ..."}),
            ("--every", {"type": float, "metavar": "S", "help": "interval in seconds"}),
            ("--at", {"metavar": "T", "help": "one run, at a time such as 2030-01-31T14:00"}),
            ("--tz", {"metavar": "ZONE", "help": "time zone, such as Europe/Zagreb (default: [schedule] timezone)"}),
            ("--catch-up", {"choices": ("skip", "once", "all"), "help": "which missed runs are made up for"}),
            ("--window", {"type": float, "metavar": "S", "help": "ignore what was missed longer ago, in seconds"}),
            ("--overlap", {"choices": ("skip", "queue", "allow"), "help": "if the previous run is still going on"}),
        )  # fmt: skip
    command(schedule, "remove", schedules.schedule_remove, name)
    command(schedule, "run", schedules.schedule_run, name, ("--slot", {"metavar": "T", "help": "a missed time"}))
    command(schedule, "pause", schedules.verb("pause", "paused"), name, text=PAUSE_SCHEDULE)
    command(schedule, "resume", schedules.verb("resume", "resumed"), name, text="Resume a paused schedule.")


def add_upkeep(commands: Any) -> None:
    """See alerts and the audit log, keep the history, make and restore backups."""
    alert = commands.add_parser("alerts", help="incidents and channels").add_subparsers(required=True, metavar="WHAT")
    every = ("--all", {"action": "store_true", "help": "also those that are over"})
    command(alert, "list", alerts.alerts_list, every, *FORMS)
    command(alert, "ack", alerts.alerts_ack, ("id", {"metavar": "ID", "help": "id of the incident"}))
    command(alert, "test", alerts.alerts_test, ("channel", {"metavar": "CHANNEL", "help": "name of the channel"}))
    command(commands, "drill", alerts.drill)
    form = ("--format", {"choices": ("csv", "json"), "default": "csv", "help": "json: one object per line"})
    most = ("--limit", {"type": from_one, "metavar": "N", "help": "the newest N lines only"})
    command(commands, "audit", accounts.audit, form, most, AS_JSON)
    over = ("--take-over", {"action": "store_true", "help": "move the recording to the history of this host, and end"})
    command(commands, "record", history.record, over)
    command(commands, "prune", history.prune)
    folder = ("folder", {"metavar": "FOLDER", "help": "folder of the backup"})
    command(commands, "backup", copies.backup, folder)
    source = ("source", {"metavar": "FOLDER", "nargs": "+", "help": "folder of the backup, or files that were kept"})
    command(commands, "restore", copies.restore, source).set_defaults(context={"replaces": True})


def add_moves(commands: Any) -> None:
    """Move the queue, import those of plain Huey and crontabs."""
    command(
        commands, "move", moving.move,
        ("--to", {"metavar": "URL", "help": "where to move the queue: redis://... or sqlite:///FILE"}),
        ("--from", {"metavar": "URL", "help": "the queue to move (default: that of config.ini)"}),
        ("--name", {"metavar": "NAME", "help": "[storage] name at the target (default: that of config.ini)"}),
        ("--wait", {"type": float, "metavar": "S", "default": moving.WAIT_S, "help": "time for running jobs to end"}),
        ("--replace", {"action": "store_true", "help": "remove ended jobs at the target; their history stays"}),
        ("--undo", {"action": "store_true", "help": "use the source again, if nothing has run at the target"}),
        ("--force", {"action": "store_true", "help": "with --undo: without looking at the target"}),
    )  # fmt: skip
    brought = commands.add_parser("import", help="tasks of plain Huey, crontabs").add_subparsers(
        required=True, metavar="WHAT"
    )
    dry_run = ("--dry-run", {"action": "store_true", "help": "change nothing, and print what would be done"})
    command(
        brought, "huey", imports.import_huey,
        ("--from", {"metavar": "URL", "required": True, "help": "where Huey's queue is: sqlite:///FILE or redis://..."}),
        ("--name", {"metavar": "NAME", "help": "name of the queue (default: the only one there)"}),
        ("--modules", {"metavar": "LIST", "help": "modules whose classes arguments and results may have"}),
        ("--unpickle", {"action": "store_true", "help": "read the pickles"}),
        dry_run,
    )  # fmt: skip
    command(
        brought, "crontab", imports.import_crontab,
        ("file", {"metavar": "FILE", "help": "the crontab, or - for standard input"}),
        ("--task", {"metavar": "TASK", "help": "the task that runs a command line: it is its first argument"}),
        ("--user-column", {"action": "store_true", "help": "each line names a user, as in /etc/crontab"}),
        ("--tz", {"metavar": "ZONE", "help": "time zone of lines without CRON_TZ (default: this machine's)"}),
        dry_run,
    )  # fmt: skip
