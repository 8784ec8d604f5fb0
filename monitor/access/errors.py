"""The errors of access. Each makes its own message.

All are subclasses of `AccessError`. An operator must fix `AccessUnavailable` and its subclasses. All others are for
the person or program that made the request. Nothing was changed then.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AccessError(Exception):
    """Base class of all errors that this package raises."""


# For the operator.


class AccessUnavailable(AccessError):
    """The access database cannot be used now. `reason` says what was found and what to do."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(f"the access database {path} {reason}")


class SchemaTooNew(AccessUnavailable):
    """The file was written by a newer version of Duey."""

    def __init__(self, path: str, found: int, known: int):
        self.found, self.known = found, known
        super().__init__(
            path,
            f"has schema {found}, but this version knows schemas up to {known}: "
            "start the newer version again, or restore the backup made before the update",
        )


# For the person or program that made the request.


class InvalidInput(AccessError):
    """A name, role, password or scope is not acceptable."""

    def __init__(self, what: str, expected: str, found: str):
        super().__init__(f"{what}: expected {expected}, found {found}")


class OfOne(AccessError):
    """About one account or token. `sentence` has `{name}` for its name."""

    sentence = ""

    def __init__(self, name: str):
        self.name = name
        super().__init__(self.sentence.format(name=name[:100]))


class AccountExists(OfOne):
    """The name is taken. Names that differ only in case are the same."""

    sentence = "an account named {name!r} exists: choose another name, or set its password"


class UnknownAccount(AccessError):
    """No account has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()):
        self.name = name
        super().__init__(f"no account is named {name[:100]!r}{_did_you_mean(name, known)}")


class AccountChanged(OfOne):
    """The account was removed or got a new password between log-in and session."""

    sentence = "the account {name!r} was changed during this log-in: log in again"


class ChangedSince(OfOne):
    """The account or token has changed since the user saw it."""

    sentence = "{name!r} was changed or removed since you looked"


class KeyLost(OfOne):
    """The key that second factors are made with is not the one of this account."""

    sentence = (
        "the key of second factors on this server is missing or was replaced, so no code of an app is right: use a "
        "recovery code, or ask the operator to run: duey user reset-totp {name}"
    )


class KeyMissing(AccessError):
    """No key of second factors is set, and accounts on a server have no file for one."""

    def __init__(self) -> None:
        super().__init__(
            "second factors cannot be set up here yet: ask the operator to set [auth] totp_key, the same at every web"
        )


class LocalAccount(OfOne):
    """The proxy names a user whose name belongs to a local account."""

    sentence = (
        "{name!r} is an account with a password here, so the proxy's user of this name is not let in: "
        "an admin removes the account (duey user remove {name}), or the user gets another name"
    )


class NotInGroup(OfOne):
    """The proxy's user is in no group that may enter."""

    sentence = "{name!r} is in none of the groups that may enter here: ask whoever manages the groups"


class ProxyAccount(OfOne):
    """The account has no password here, or its role follows the proxy's groups."""

    sentence = "{name!r} is logged in by the proxy: change its password or its groups there"


class LastAdmin(OfOne):
    """The last admin cannot be removed or demoted, because no one could make another."""

    sentence = "{name!r} is the last admin: make another account admin first"


class TokenExists(OfOne):
    """The name is taken by a token that is not revoked."""

    sentence = "a token named {name!r} exists: choose another name, or revoke it first"


class UnknownToken(AccessError):
    """No token has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()):
        self.name = name
        super().__init__(f"no token is named {name[:100]!r}{_did_you_mean(name, known)}")


class TooManyAttempts(AccessError):
    """Too many log-ins failed from this address or for this account. `retry_after_s` is for Retry-After."""

    def __init__(self, retry_after_s: int):
        self.retry_after_s = retry_after_s
        wait = f"{retry_after_s} s" if retry_after_s <= 60 else f"{-(-retry_after_s // 60)} min"
        super().__init__(f"too many failed log-ins: try again in {wait}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name[:100], list(known), n=3, cutoff=0.5)
    return f"; did you mean {', '.join(nearest)}?" if nearest else ""
