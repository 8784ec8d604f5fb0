"""Accounts of the monitor and tokens of the API. A generated secret is printed once, alone on the last line."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from datetime import datetime, timezone

from duey.cli.context import CliContext, Refused, echo

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
    """List the accounts: name, role, last login."""
    for account in cli_context.access.accounts.list():
        by = "" if account.is_local else " by the proxy"
        echo(account.name, account.role, f"last login {instant(account.last_login_at)}{by}")


def user_role(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Change the role of an account."""
    access = cli_context.access
    access.proxy_users.check_role_change(access.accounts.get(options.name))
    account = access.accounts.set_role(options.name, options.role)
    cli_context.audit("change role", account.name, detail=account.role)
    echo(f"{account.name} is {account.role} now")


def user_remove(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Remove an account, which ends its sessions."""
    cli_context.access.accounts.remove(options.name)
    cli_context.audit("remove account", options.name)
    echo(f"removed {options.name}")


def token_create(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Create an API token and print it."""
    scopes = [scope.strip() for scope in options.scope.split(",") if scope.strip()]
    length = re.fullmatch(r"(\d{1,6})([hdw])", options.expires or "0h", re.ASCII)
    if length is None:
        raise Refused(f"--expires: expected a length such as 12h, 90d or 52w, found {options.expires[:60]!r}")
    expires_s = None if options.expires is None else float(length[1]) * UNITS_S[length[2]]
    token, secret = cli_context.access.tokens.create(options.name, scopes, expires_s)
    ends = "" if token.expires_at is None else f", until {instant(token.expires_at)}"
    cli_context.audit("create token", token.name, detail=",".join(sorted(token.scopes)) + ends)
    echo(f"created token {token.name} for {', '.join(sorted(token.scopes))}{ends}")
    echo(secret)


def token_list(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the tokens, without their secrets: name, scopes, last use, expiry."""
    now = time.time()
    for token in cli_context.access.tokens.list():
        ends = "expired" if token.has_expired(now) else "expires"
        scopes = ",".join(sorted(token.scopes))
        used = f"last used {instant(token.last_used_at)}"
        echo(token.name, scopes, used, f"{ends} {instant(token.expires_at)}")


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
