"""The named errors of access: each is named by its cause and composes its own sentence.

`AccessError` is the root. What an operator must mend (`AccessUnavailable` and below) is told apart from what
the person or program that asked must mend (all others); then nothing was changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AccessError(Exception):
    """Root of every error that this room raises on purpose."""


# What an operator must mend.


class AccessUnavailable(AccessError):
    """The access database cannot be used now; `reason` says what was found and what to do."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(f"the access database {path} {reason}")


class SchemaTooNew(AccessUnavailable):
    """The file was written by a newer version of the code."""

    def __init__(self, path: str, found: int, known: int):
        self.found, self.known = found, known
        super().__init__(
            path,
            f"has schema {found}, but this version knows schemas up to {known}: "
            "start the newer version again, or restore the backup made before the update",
        )


# What the asker must mend.


class InvalidInput(AccessError):
    """A name, role, password or scope that cannot be accepted."""

    def __init__(self, what: str, expected: str, found: str):
        super().__init__(f"{what}: expected {expected}, found {found}")


class AccountExists(AccessError):
    """The name is taken; letters differ in case only by looks."""

    def __init__(self, name: str):
        self.name = name
        super().__init__(f"an account named {name!r} exists: choose another name, or set its password")


class UnknownAccount(AccessError):
    """No account has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()):
        self.name = name
        super().__init__(f"no account is named {name[:100]!r}{_did_you_mean(name, known)}")


class AccountChanged(AccessError):
    """The account was removed, or its password changed, between its log-in and its session."""

    def __init__(self, name: str):
        self.name = name
        super().__init__(f"the account {name!r} was changed during this log-in: log in again")


class ChangedSince(AccessError):
    """The account or token is not any more what the asker saw."""

    def __init__(self, name: str):
        self.name = name
        super().__init__(f"{name[:100]!r} was changed or removed since you looked")


class LastAdmin(AccessError):
    """Without an admin nobody could give the role back."""

    def __init__(self, name: str):
        self.name = name
        super().__init__(f"{name!r} is the last admin: make another account admin first")


class TokenExists(AccessError):
    """The name of a token is taken until that token is revoked."""

    def __init__(self, name: str):
        self.name = name
        super().__init__(f"a token named {name!r} exists: choose another name, or revoke it first")


class UnknownToken(AccessError):
    """No token has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()):
        self.name = name
        super().__init__(f"no token is named {name[:100]!r}{_did_you_mean(name, known)}")


class TooManyAttempts(AccessError):
    """Too many log-ins failed from this address, or on this account; `retry_after_s` is for Retry-After."""

    def __init__(self, retry_after_s: int):
        self.retry_after_s = retry_after_s
        wait = f"{retry_after_s} s" if retry_after_s <= 60 else f"{-(-retry_after_s // 60)} min"
        super().__init__(f"too many failed log-ins: try again in {wait}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name[:100], list(known), n=3, cutoff=0.5)
    return f"; did you mean {', '.join(nearest)}?" if nearest else ""
