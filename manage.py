"""The operator's command: looks at the service and changes it by hand, with or without the web process.

Exit status 0; 1 with one sentence on standard error; 2 for bad usage. A secret that is made is printed alone on the
last line of standard output, once. Every change is written to the audit.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import config

AUDIT_SOURCE = "operator"


class Refused(Exception):
    """One sentence: what was expected, what was found, what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = parser().parse_args(argv)
    try:
        from engine import errors
        from monitor.access import AccessError
    except config.ConfigError as exc:
        print(exc, file=sys.stderr)
        return 1
    try:
        return int(options.run(Office(), options) or 0)
    except (errors.DeweyError, AccessError, Refused) as exc:
        print(exc, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 1


class Office:
    """What the commands work with, made when it is first needed."""

    def __init__(self) -> None:
        from engine import huey, settings

        self.huey, self.settings = huey, settings
        self._access: Any = None
        self._control: Any = None

    @property
    def control(self) -> Any:
        """The engine's verbs, with the task modules loaded."""
        if self._control is None:
            from engine import load_tasks
            from engine.control import Control

            load_tasks()
            self._control = Control(self.huey)
        return self._control

    @property
    def access(self) -> Any:
        """Accounts, tokens and the audit."""
        if self._access is None:
            from monitor.access import Access

            auth = self.settings.auth
            self._access = Access(auth.database, auth.session_hours, auth.login_attempts)
            self._access.prepare()
        return self._access

    def audit(self, action: str, target: str, count: int = 1, detail: str = "") -> None:
        """Write down who did what."""
        self.access.audit.record(operator_name(), AUDIT_SOURCE, "", action, target, count, detail)


def operator_name() -> str:
    """The name of the person at the terminal, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


# looking


def check(office: Office, options: argparse.Namespace) -> int:
    """Settings, task files, storage and accounts: would a start succeed?"""
    tasks = office.control.tasks()
    warnings = office.huey.storage.prepare()
    office.access.accounts.list()
    print(f"settings  {office.settings.source}")
    print(f"storage   {office.settings.storage.backend}, usable")
    print(f"tasks     {len(tasks)}: {', '.join(task.name for task in tasks)}")
    for warning in warnings:
        print(f"warning   {warning}")
    return 0


def status(office: Office, options: argparse.Namespace) -> int:
    """One screen for a person; exit status 1 when the service is not ready."""
    health, counts = office.control.health(), office.control.counts()
    print("ready" if health.ok else "NOT READY: " + "; ".join(health.problems))
    for warning in health.warnings:
        print(f"warning: {warning}")
    age = "" if counts.oldest_queued_at is None else f" (oldest {time.time() - counts.oldest_queued_at:.0f} s)"
    print(f"queued {counts.queued}{age}, running {counts.running}, retrying {counts.retrying}, "
          f"scheduled {counts.scheduled}, parked {counts.parked}")  # fmt: skip
    for worker in office.control.workers():
        state = "alive" if worker.alive else "dead"
        doing = ", ".join(job.task for job in worker.running) or "idle"
        print(
            f"worker {worker.id}: {worker.host} pid {worker.pid}, "
            f"{worker.workers} x {worker.worker_type}, {state}, {doing}"
        )
    if not health.ok:
        raise Refused("the service is not ready: " + "; ".join(health.problems))
    return 0


# accounts and tokens


def read_password() -> str:
    """The first line of standard input."""
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Refused("a password was expected on standard input, and nothing was found: pipe it in")
    return password


def user_add(office: Office, options: argparse.Namespace) -> None:
    """Make an account."""
    password = read_password() if options.password_stdin else None
    account, made = office.access.accounts.create(options.name, options.role, password)
    office.audit("add account", account.name, detail=account.role)
    print(f"made {account.role} {account.name}")
    if made:
        print(made)


def user_password(office: Office, options: argparse.Namespace) -> None:
    """Give an account a new password, which ends its sessions."""
    made = office.access.accounts.set_password(options.name, read_password() if options.password_stdin else None)
    office.audit("set password", options.name)
    print(f"changed the password of {options.name}")
    if made:
        print(made)


def user_list(office: Office, options: argparse.Namespace) -> None:
    """List the accounts."""
    for account in office.access.accounts.list():
        print(f"{account.name}\t{account.role}")


def token_create(office: Office, options: argparse.Namespace) -> None:
    """Make an API token."""
    scopes = [scope.strip() for scope in options.scope.split(",") if scope.strip()]
    token, secret = office.access.tokens.create(options.name, scopes)
    office.audit("create token", token.name, detail=",".join(sorted(token.scopes)))
    print(f"made token {token.name} for {', '.join(sorted(token.scopes))}")
    print(secret)


def token_list(office: Office, options: argparse.Namespace) -> None:
    """List the tokens, without their secrets."""
    for token in office.access.tokens.list():
        print(f"{token.name}\t{','.join(sorted(token.scopes))}")


def token_revoke(office: Office, options: argparse.Namespace) -> None:
    """End a token."""
    office.access.tokens.revoke(options.name)
    office.audit("revoke token", options.name)
    print(f"revoked {options.name}")


# jobs and tasks


def value_of(text: str) -> Any:
    """An argument as JSON where it is JSON, else as the text that it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def enqueue(office: Office, options: argparse.Namespace) -> int:
    """Defer one job: `enqueue add 1 2`, `enqueue send_email to=bob@example.org subject=Hi`."""
    from engine.jobs import JobRequest

    names = {p.name for p in office.control.task(options.task).parameters}
    args, kwargs = [], {}
    for text in options.args:
        name, sign, value = text.partition("=")
        if sign and name in names:
            kwargs[name] = value_of(value)
        else:
            args.append(value_of(text))
    request = JobRequest(options.task, args, kwargs, delay_s=options.delay)
    job = office.control.defer([request]).jobs[0]
    office.audit("enqueue", job.id, detail=job.task)
    print(job.id)
    if not options.wait:
        return 0
    while job.finished_at is None:
        job = office.control.wait(job.id, 30)
    if job.error:
        raise Refused(f"job {job.id} {job.state}: {job.error.type}: {job.error.message}")
    print(json.dumps(job.result))
    return 0 if job.state == "done" else 1


def verb(name: str, done: str) -> Callable[[Office, argparse.Namespace], None]:
    """A command that is one verb of the engine on one target."""

    def run(office: Office, options: argparse.Namespace) -> None:
        getattr(office.control, name)(options.target)
        office.audit(name.replace("_", " "), options.target)
        print(f"{done} {options.target}")

    return run


def parser() -> argparse.ArgumentParser:
    """Every command with its help."""
    top = argparse.ArgumentParser(prog="manage.py", description="Look after a Dewey service.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(parent: Any, name: str, run: Callable[..., Any], *arguments: tuple[Any, ...], text: str = "") -> Any:
        made = parent.add_parser(name, help=text or (run.__doc__ or "").split("\n")[0])
        made.set_defaults(run=run)
        for *flags, extra in arguments:
            made.add_argument(*flags, **extra)
        return made

    stdin = ("--password-stdin", {"action": "store_true", "help": "read the password from standard input"})
    command(commands, "check", check)
    command(commands, "status", status)
    user = commands.add_parser("user", help="accounts of the monitor").add_subparsers(required=True, metavar="WHAT")
    role = ("--role", {"choices": ("admin", "viewer"), "default": "viewer"})
    command(user, "add", user_add, ("name", {}), role, stdin)
    command(user, "password", user_password, ("name", {}), stdin)
    command(user, "list", user_list)
    token = commands.add_parser("token", help="tokens of the API").add_subparsers(required=True, metavar="WHAT")
    scope = ("--scope", {"default": "read,enqueue", "help": "of read, enqueue, admin"})
    command(token, "create", token_create, ("name", {}), scope)
    command(token, "list", token_list)
    command(token, "revoke", token_revoke, ("name", {}))
    command(
        commands, "enqueue", enqueue, ("task", {}), ("args", {"nargs": "*", "help": "JSON or text; name=value"}),
        ("--delay", {"type": float, "metavar": "S"}), ("--wait", {"action": "store_true"}),
    )  # fmt: skip
    target = ("target", {"metavar": "ID"})
    command(commands, "retry", verb("retry", "queued again"), target, text="Run an ended job again.")
    command(commands, "cancel", verb("cancel", "canceled"), target, text="Cancel a job, or ask it to stop.")
    target = ("target", {"metavar": "TASK"})
    command(commands, "pause", verb("pause_task", "paused"), target, text="Let a task's jobs wait.")
    command(commands, "resume", verb("resume_task", "resumed"), target, text="End a pause.")
    return top


if __name__ == "__main__":
    sys.exit(main())
