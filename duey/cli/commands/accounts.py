"""Accounts of the monitor and tokens of the API. A generated secret is printed once, alone on the last line."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duey import clock
from duey.cli import output
from duey.cli.context import CliContext, Refused, echo
from duey.cli.output import Column, when

if TYPE_CHECKING:
    from duey.monitor.access import Account, Token
    from duey.monitor.access.sessions import Session

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


def user_copy(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Copy accounts, sessions, tokens and the audit log of a file to PostgreSQL, where [auth] database is.

    Do it before the first web that uses the server starts, while those of the file are stopped: the server must have no
    accounts and tokens yet. The file keeps what it holds. Second factors need the [auth] totp_key of before; with the
    file access.key they cannot be copied, so people log in with a recovery code, or you reset theirs.
    """
    from duey.monitor.access import copying
    from duey.monitor.access.database import File, Server, database

    target, file = database(cli_context.settings.auth.database), Path(options.file)
    if not isinstance(target, Server):
        raise Refused("expected [auth] database = postgresql://... to copy to, found a file: name the server first")
    if not file.is_file():
        raise Refused(f"expected the file of accounts, such as data/access.db, found nothing at {file}")
    copied = copying.copy_all(File(f"sqlite:///{file.absolute()}"), target)
    cli_context.audit("copy accounts", str(file), count=copied["accounts"])
    words = {"accounts": "accounts", "sessions": "sessions", "tokens": "tokens", "audit": "lines of the audit log"}
    echo(f"copied {', '.join(f'{copied[table]} {what}' for table, what in words.items())} to {target.place}")
    if copied["second_factors"] and not cli_context.settings.auth.totp_key:
        echo("second factors are without their key: set [auth] totp_key, and `duey user reset-totp NAME` who has one")


def user_password(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Set a new password, which ends the sessions of the account. Without --password-stdin one is generated."""
    made = cli_context.access.accounts.set_password(options.name, read_password() if options.password_stdin else None)
    cli_context.audit("set password", options.name)
    echo(f"changed the password of {options.name}")
    if made:
        echo(made)


def user_list(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the accounts: name, role, last login.

    With --json: `users`, each with `name`, `role`, `origin`, `created_at`, `last_login_at` and `second_factor_at`.
    """

    def row(account: Account) -> tuple[object, ...]:
        by = "" if account.is_local else " by the proxy"
        by += ", second factor on" if account.second_factor_at else ""
        return account.name, account.role, f"last login {when(account.last_login_at)}{by}"

    view = view_of("name", "role", "origin", "created_at", "last_login_at", "second_factor_at")
    output.show(options, "users", cli_context.access.accounts.list(), view, USERS, row)


def view_of(*names: str) -> Callable[[Any], dict[str, Any]]:
    """What makes JSON of these attributes of an account, a session or a token, with times as in the API."""

    def field(name: str, value: Any) -> Any:
        if name.endswith(("_at", "_until")):
            return clock.rfc3339(value)
        return sorted(value) if name == "scopes" else value

    def view(value: Any) -> dict[str, Any]:
        return {name: field(name, getattr(value, name)) for name in names}

    return view


def user_role(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Change the role of an account."""
    access = cli_context.access
    access.proxy_users.check_role_change(access.accounts.get(options.name))
    account = access.accounts.set_role(options.name, options.role)
    cli_context.audit("change role", account.name, detail=account.role)
    echo(f"{account.name} is {account.role} now")


def user_reset_totp(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Turn the second factor of an account off and end its sessions, if the phone and the recovery codes are lost."""
    access = cli_context.access
    account = access.accounts.get(options.name)
    if not access.second_factors.remove(account, ends_sessions=True):
        raise Refused(f"{account.name} has no second factor: nothing was changed")
    cli_context.audit("reset second factor", account.name)
    echo(f"the second factor of {account.name} is off, and its sessions have ended")


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

    def row(session: Session) -> tuple[object, ...]:
        used, ends = f"last used {when(session.last_seen_at)}", f"ends {when(session.expires_at)}"
        return f"since {when(session.created_at)}", used, ends, session.address, session.agent

    view = view_of("created_at", "last_seen_at", "expires_at", "address", "agent")
    output.show(options, "sessions", access.sessions.list(account), view, SESSIONS, row)


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
    now = clock.now()

    def row(token: Token) -> tuple[object, ...]:
        ends = f"{'expired' if token.has_expired(now) else 'expires'} {when(token.expires_at)}"
        old = f"old secret until {when(token.previous_until)}, last used {when(token.previous_used_at)}"
        shown = (token.name, ",".join(sorted(token.scopes)), f"last used {when(token.last_used_at)}", ends)
        return (*shown, old) if token.overlaps(now) else shown

    view = view_of(
        "name", "scopes", "created_at", "last_used_at", "expires_at", "rotated_at", "previous_until",
        "previous_used_at",
    )  # fmt: skip
    output.show(options, "tokens", cli_context.access.tokens.list(), view, TOKENS, row)


def token_revoke(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Revoke a token."""
    cli_context.access.tokens.revoke(options.name)
    cli_context.audit("revoke token", options.name)
    echo(f"revoked {options.name}")


def instant(at: float | None) -> str:
    """An instant (epoch seconds) as UTC text, to the second; `never` for None."""
    return "never" if at is None else f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def audit(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Print the audit log, newest first. With --json: `audit`, with the fields of the CSV."""
    from duey.monitor.access.export import as_csv, exported

    lines = cli_context.access.audit.walk(most=options.limit)
    if options.json:
        output.print_json({"audit": [exported(line) for line in lines]})
    elif options.format == "json":
        for line in lines:
            echo(json.dumps(exported(line)))
    else:
        for row in as_csv(lines):
            echo(row.rstrip("\r\n"))
