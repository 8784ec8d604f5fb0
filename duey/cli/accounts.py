"""Accounts of the monitor and tokens of the API. A generated secret is printed once, alone on the last line."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from datetime import datetime, timezone
from typing import Any

from duey.cli import output
from duey.cli.context import CliContext, Refused, echo
from duey.cli.output import Column, when

USERS = (Column("ACCOUNT"), Column("ROLE"), Column("LAST LOGIN"))
SESSIONS = (
    Column("SINCE"), Column("LAST USE", drop=1), Column("END", drop=2), Column("ADDRESS"), Column("BROWSER", cut=True),
)  # fmt: skip
TOKENS = (
    Column("TOKEN"), Column("SCOPES", cut=True), Column("LAST USE"), Column("END", drop=2),
    Column("OLD SECRET", drop=1),
)  # fmt: skip
UNITS_S = {"h": 3600, "d": 86400, "w": 7 * 86400}


def read_password() -> str:
    """The first line of standard input."""
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Refused("expected a password on standard input, found nothing: pipe it in")
    return password


def user_add(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Create an account. Without --password-stdin a password is generated and printed."""
    password = read_password() if options.password_stdin else None
    account, made = cli_context.access.accounts.create(options.name, options.role, password)
    cli_context.audit("add account", account.name, detail=account.role)
    echo(f"created {account.role} {account.name}")
    if made:
        echo(made)


def user_password(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Set a new password, which ends the sessions of the account. Without --password-stdin one is generated."""
    made = cli_context.access.accounts.set_password(options.name, read_password() if options.password_stdin else None)
    cli_context.audit("set password", options.name)
    echo(f"changed the password of {options.name}")
    if made:
        echo(made)


def user_list(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the accounts: name, role, last login.

    With --json: `users`, each with `name`, `role`, `origin`, `created_at` and `last_login_at`.
    """
    found = cli_context.access.accounts.list()
    if options.json:
        shown = [as_json(each, "name", "role", "origin", "created_at", "last_login_at") for each in found]
        output.print_json({"users": shown})
        return
    output.table(USERS, [
        (each.name, each.role, f"last login {when(each.last_login_at)}{'' if each.is_local else ' by the proxy'}")
        for each in found
    ])  # fmt: skip


def as_json(value: Any, *names: str) -> dict[str, Any]:
    """Attributes of an account, a session or a token, with times as in the API."""
    from duey.api.views import rfc3339

    shown = {name: getattr(value, name) for name in names}
    return {name: rfc3339(each) if name.endswith(("_at", "_until")) else each for name, each in shown.items()}


def user_role(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Change the role of an account."""
    access = cli_context.access
    access.proxy_users.check_role_change(access.accounts.get(options.name))
    account = access.accounts.set_role(options.name, options.role)
    cli_context.audit("change role", account.name, detail=account.role)
    echo(f"{account.name} is {account.role} now")


def user_sessions(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the sessions of an account: start, last use, end, address, browser. With --end, end them all.

    With --json: `sessions`, each with `created_at`, `last_seen_at`, `expires_at`, `address` and `agent`.
    """
    access = cli_context.access
    account = access.accounts.get(options.name)
    if options.end:
        ended = access.sessions.end_all(account)
        cli_context.audit("end sessions", account.name, ended)
        echo(f"sessions of {account.name} ended: {ended}")
        return
    found = access.sessions.list(account)
    if options.json:
        names = ("created_at", "last_seen_at", "expires_at", "address", "agent")
        output.print_json({"sessions": [as_json(each, *names) for each in found]})
        return
    output.table(SESSIONS, [
        (f"since {when(each.created_at)}", f"last used {when(each.last_seen_at)}", f"ends {when(each.expires_at)}",
         each.address, each.agent)
        for each in found
    ])  # fmt: skip


def user_remove(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Remove an account, which ends its sessions."""
    cli_context.access.accounts.remove(options.name)
    cli_context.audit("remove account", options.name)
    echo(f"removed {options.name}")


def token_create(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Create an API token and print it."""
    scopes = [scope.strip() for scope in options.scope.split(",") if scope.strip()]
    token, secret = cli_context.access.tokens.create(options.name, scopes, length_s("--expires", options.expires))
    ends = "" if token.expires_at is None else f", until {instant(token.expires_at)}"
    cli_context.audit("create token", token.name, detail=",".join(sorted(token.scopes)) + ends)
    echo(f"created token {token.name} for {', '.join(sorted(token.scopes))}{ends}")
    echo(secret)


def token_rotate(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Give a token a new secret and print it. The old one stays valid for a while (--overlap)."""
    overlap_s = length_s("--overlap", options.overlap) or 0.0
    expires_s = length_s("--expires", options.expires)
    token, secret = cli_context.access.tokens.rotate(options.name, overlap_s, expires_s)
    until = f"the old secret is valid until {instant(token.previous_until)}"
    if not overlap_s:
        until = "the old secret is refused from now on"
    cli_context.audit("rotate token", token.name, detail=until)
    ends = "" if token.expires_at is None else f", until {instant(token.expires_at)}"
    echo(f"{token.name} has a new secret{ends}; {until}")
    echo(secret)


def length_s(option: str, text: str | None) -> float | None:
    """Return a length such as 12h, 90d or 52w in seconds; None without one."""
    if text is None:
        return None
    length = re.fullmatch(r"(\d{1,6})([hdw])", text, re.ASCII)
    if length is None:
        raise Refused(f"{option}: expected a length such as 12h, 90d or 52w, found {text[:60]!r}")
    return float(length[1]) * UNITS_S[length[2]]


def token_list(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the tokens, without their secrets: name, scopes, last use, expiry, and until when an old secret is valid.

    With --json: `tokens`, each with `name`, `scopes`, `created_at`, `last_used_at`, `expires_at`, `rotated_at`,
    `previous_until` and `previous_used_at`.
    """
    now, found = time.time(), cli_context.access.tokens.list()
    if options.json:
        names = ("name", "created_at", "last_used_at", "expires_at", "rotated_at", "previous_until", "previous_used_at")
        output.print_json({"tokens": [{**as_json(each, *names), "scopes": sorted(each.scopes)} for each in found]})
        return
    rows = []
    for token in found:
        ends = "expired" if token.has_expired(now) else "expires"
        old = f"old secret until {when(token.previous_until)}, last used {when(token.previous_used_at)}"
        rows.append((
            token.name, ",".join(sorted(token.scopes)), f"last used {when(token.last_used_at)}",
            f"{ends} {when(token.expires_at)}", *([old] if token.overlaps(now) else []),
        ))  # fmt: skip
    output.table(TOKENS, rows)


def token_revoke(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Revoke a token."""
    cli_context.access.tokens.revoke(options.name)
    cli_context.audit("revoke token", options.name)
    echo(f"revoked {options.name}")


def instant(at: float | None) -> str:
    """An instant (epoch seconds) as UTC text, to the second; `never` for None."""
    return "never" if at is None else f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def audit(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Print the audit log, newest first."""
    from duey.monitor.access.export import as_csv, exported

    lines = cli_context.access.audit.walk()
    if options.format == "json":
        for line in lines:
            echo(json.dumps(exported(line)))
    else:
        for row in as_csv(lines):
            echo(row.rstrip("\r\n"))
