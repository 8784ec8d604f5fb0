"""The security log: one line an event on the logger `duey.security`, in a form that other programs read.

`EVENT address=ADDRESS who=NAME`, then what else belongs to the event as `name=value`. Events and names stay as they
are; new ones may be added. A value never holds a blank or a control character, so nobody can forge a field or a line.
What was typed as the name of an account that does not exist is left out: people type passwords into the wrong field.
"""

from __future__ import annotations

import logging
import re

log = logging.getLogger("duey.security")

LOGIN_SUCCEEDED, LOGIN_FAILED, LOGIN_THROTTLED = "login-succeeded", "login-failed", "login-throttled"
LOCK_OUT = "lock-out"  # an address or a device has used up its attempts
ACCOUNT_MADE, ACCOUNT_CHANGED, ACCOUNT_REMOVED = "account-made", "account-changed", "account-removed"
TOKEN_MADE, TOKEN_REVOKED = "token-made", "token-revoked"
HOST_REFUSED = "host-refused"  # called by a name that is not in [web] allow_hosts
BAD_TOKEN, SCOPE_REFUSED, ROLE_REFUSED, CSRF_REFUSED = "bad-token", "scope-refused", "role-refused", "csrf-refused"

HARMLESS = frozenset({LOGIN_SUCCEEDED, ACCOUNT_MADE, ACCOUNT_CHANGED, ACCOUNT_REMOVED, TOKEN_MADE, TOKEN_REVOKED})
_ODD = re.compile(r"[^!-~]+")
VALUE_CHARS = 100


def note(event: str, address: str, who: str = "", **facts: str) -> None:
    """Log one event: INFO for what was allowed, WARNING for what was refused."""
    fields = {"address": address, "who": who, **facts}
    line = " ".join(f"{name}={_word(value)}" for name, value in fields.items())
    log.log(logging.INFO if event in HARMLESS else logging.WARNING, "%s %s", event, line)


def _word(value: str) -> str:
    return _ODD.sub("_", value[:VALUE_CHARS]).replace("=", "_") or "-"
