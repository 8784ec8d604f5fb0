"""The security log: one line for each event on the logger `duey.security`, in a format for other programs.

A line is `EVENT address=ADDRESS who=NAME`, and then other values as `name=value`. Existing events and names do not
change; new ones may be added. A value never contains a space or a control character, so that no input can fake a
field or a line. The name of an unknown account is left out, because people type passwords into the wrong field.
"""

from __future__ import annotations

import logging
import re

log = logging.getLogger("duey.security")

LOGIN_SUCCEEDED, LOGIN_FAILED, LOGIN_THROTTLED = "login-succeeded", "login-failed", "login-throttled"
SECOND_FACTOR_FAILED, SECOND_FACTOR_THROTTLED = "second-factor-failed", "second-factor-throttled"
LOCK_OUT = "lock-out"  # an address or a device has used all its attempts
ACCOUNT_MADE, ACCOUNT_CHANGED, ACCOUNT_REMOVED = "account-made", "account-changed", "account-removed"
TOKEN_MADE, TOKEN_ROTATED, TOKEN_REVOKED = "token-made", "token-rotated", "token-revoked"
HOST_REFUSED = "host-refused"  # the Host is not in [web] allow_hosts
IDENTITY_IGNORED = "identity-ignored"  # a header that names the user, from another than the trusted proxy
IDENTITY_REFUSED = "identity-refused"  # from the trusted proxy, but not a name, a local account's, or in no group
BAD_TOKEN, SCOPE_REFUSED, ROLE_REFUSED, CSRF_REFUSED = "bad-token", "scope-refused", "role-refused", "csrf-refused"

HARMLESS = frozenset({
    LOGIN_SUCCEEDED, ACCOUNT_MADE, ACCOUNT_CHANGED, ACCOUNT_REMOVED, TOKEN_MADE, TOKEN_ROTATED, TOKEN_REVOKED,
})  # fmt: skip
_ODD = re.compile(r"[^!-~]+")
VALUE_CHARS = 100


def note(event: str, address: str, who: str = "", **facts: str) -> None:
    """Log one event: INFO if it was allowed, WARNING if it was refused."""
    fields = {"address": address, "who": who, **facts}
    line = " ".join(f"{name}={_word(value)}" for name, value in fields.items())
    log.log(logging.INFO if event in HARMLESS else logging.WARNING, "%s %s", event, line)


def _word(value: str) -> str:
    return _ODD.sub("_", value[:VALUE_CHARS]).replace("=", "_") or "-"
