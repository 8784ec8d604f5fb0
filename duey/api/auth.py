"""Who may call. `Authorization: Bearer TOKEN`, and the scope that the endpoint asks for.

No token or a wrong one is a 401 that says which in WWW-Authenticate (RFC 6750); a token without the scope is
a 403. The token is checked before the body is looked at, so a stranger learns nothing from it. The secret
itself is never logged or quoted.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from duey.api.problem import Refusal
from duey.monitor.access import Token, security

SECRET_CHARS = 512  # longer is no token of ours, and not worth hashing


class TokenAuth:
    """Lets a request in or raises a Refusal. `find(secret)` gives the token or None."""

    def __init__(self, find: Callable[[str], Token | None]) -> None:
        self._find = find

    def admit(self, environ: Mapping[str, Any], scope: str) -> Token:
        """The token that the request carries, if it allows `scope`. Raises Refusal 401, 403."""
        token = self.known(environ)
        if not token.allows(scope):
            address = str(environ.get("REMOTE_ADDR", ""))
            security.note(security.SCOPE_REFUSED, address, token.name, scope=scope, path=environ["PATH_INFO"])
            challenge = f'Bearer realm="duey", error="insufficient_scope", scope="{scope}"'
            raise Refusal(
                "scope",
                f"this call needs the scope {scope}, and the token {token.name!r} does not have it",
                headers={"WWW-Authenticate": challenge},
            )
        return token

    def known(self, environ: Mapping[str, Any]) -> Token:
        """The token that the request carries, whatever it allows. Raises Refusal 401."""
        secret = bearer(environ)
        token = self._find(secret) if len(secret) <= SECRET_CHARS else None
        if token is None:
            security.note(security.BAD_TOKEN, str(environ.get("REMOTE_ADDR", "")), path=environ["PATH_INFO"])
            raise Refusal(
                "bad-token",
                "the token is unknown or was revoked: ask the operator for another (manage.py token create)",
                headers={"WWW-Authenticate": 'Bearer realm="duey", error="invalid_token"'},
            )
        return token


class MetricsAuth:
    """Access to /metrics: one secret of the configuration, or open when there is none."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def admit(self, environ: Mapping[str, Any]) -> None:
        """Raises Refusal 401."""
        if self._secret and not hmac.compare_digest(bearer(environ).encode(), self._secret):
            security.note(security.BAD_TOKEN, str(environ.get("REMOTE_ADDR", "")), path=environ["PATH_INFO"])
            raise Refusal(
                "bad-token",
                "the token is not the one of [auth] metrics_token",
                headers={"WWW-Authenticate": 'Bearer realm="duey", error="invalid_token"'},
            )


def bearer(environ: Mapping[str, Any]) -> str:
    """The secret that the request carries. Raises Refusal 401 when it carries none."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header[:7] != "Bearer " and header[:7].lower() != "bearer ":
        raise Refusal(
            "no-token",
            "expected the header Authorization: Bearer TOKEN"
            + (", found another kind of authorization" if header else ""),
            headers={"WWW-Authenticate": 'Bearer realm="duey"'},
        )
    return str(header[7:].strip())
