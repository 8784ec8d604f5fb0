"""Accounts of the monitor and tokens of the API. A secret that is made is printed alone on the last line, once."""

from __future__ import annotations

import argparse
import sys

from operations.office import Office, Refused


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
