"""Authentication: `Authorization: Bearer TOKEN`, and the scope that the endpoint requires; and the audit log.

A missing or invalid token is answered 401; WWW-Authenticate says which (RFC 6750). A token without the scope is
answered 403. The token is checked before the body is read, so that the answer reveals nothing about the body's
validity. The secret is never logged or quoted.

A token whose scope is limited to tasks (`enqueue:send_email`) is admitted to the few endpoints that check the task
themselves, with `TaskScopes`. All other endpoints refuse it. Every refusal is the same sentence whether the task exists
or not, so that such a token does not learn which tasks there are.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from duey.api.answer import Refusal
from duey.model.job import Job
from duey.monitor.access import Token, security
from duey.monitor.access.audit import API, Audit
from duey.monitor.access.tokens import READ

SECRET_CHARS = 512  # no token of ours is longer, so longer secrets are not hashed


class TokenAuth:
    """Checks the token of a request. `find(secret)` returns the token or None."""

    def __init__(self, find: Callable[[str], Token | None]) -> None:
        self._find = find

    def admit(self, environ: Mapping[str, Any], scope: str, of_tasks: bool = False) -> Token:
        """Return the token of the request if it has `scope`; with `of_tasks`, also if it has it for some tasks. Raises
        Refusal 401, 403."""
        token = self.known(environ)
        if not (token.allows(scope) or (of_tasks and token.tasks(scope))):
            which = " for all tasks" if token.tasks(scope) else ""
            sentence = f"this call needs the scope {scope}{which}, and the token {token.name!r} does not have it"
            raise scope_refused(environ, token, scope, sentence)
        return token

    def known(self, environ: Mapping[str, Any]) -> Token:
        """Return the token of the request, whatever its scopes. Raises Refusal 401."""
        secret = bearer(environ)
        token = self._find(secret) if len(secret) <= SECRET_CHARS else None
        if token is None:
            security.note(security.BAD_TOKEN, str(environ.get("REMOTE_ADDR", "")), path=environ["PATH_INFO"])
            raise Refusal(
                "bad-token",
                "the token is unknown or was revoked: ask the operator for another (duey token create)",
                headers={"WWW-Authenticate": 'Bearer realm="duey", error="invalid_token"'},
            )
        return token


def scope_refused(environ: Mapping[str, Any], token: Token, scope: str, sentence: str) -> Refusal:
    """Return the refusal, after it was noted in the security log."""
    address = str(environ.get("REMOTE_ADDR", ""))
    security.note(security.SCOPE_REFUSED, address, token.name, scope=scope, path=environ["PATH_INFO"])
    challenge = f'Bearer realm="duey", error="insufficient_scope", scope="{scope}"'
    return Refusal("scope", sentence, headers={"WWW-Authenticate": challenge})


class TaskScopes:
    """The tasks that a limited token may use. `full_name(task)` returns the full name of a registered task, or None."""

    def __init__(self, full_name: Callable[[str], str | None]) -> None:
        self._full_name = full_name

    def check(self, environ: Mapping[str, Any], token: Token, scope: str, tasks: Iterable[str]) -> None:
        """Raise Refusal 403 unless the token may use all of these tasks."""
        if token.allows(scope):
            return
        allowed = self._allowed(token, scope)
        if not all(self._full_name(each) in allowed for each in tasks):
            names = ", ".join(token.tasks(scope))
            raise scope_refused(
                environ, token, scope, f"the token {token.name!r} has the scope {scope} for {names} only"
            )

    def may_read(self, token: Token, job: Job) -> bool:
        """Whether the token may see the job."""
        return token.allows(READ) or job.qualname in self._allowed(token, READ)

    def full(self, task: str) -> str:
        """Return the full name of a task that `check` has passed."""
        return self._full_name(task) or task

    def _allowed(self, token: Token, scope: str) -> set[str]:
        # A full name counts as it is, too: jobs of a task that was removed from the code can still be read.
        names = token.tasks(scope)
        return {full for each in names if (full := self._full_name(each))} | {each for each in names if "." in each}


class MetricsAuth:
    """Access to /metrics: by a secret from the configuration, or open if none is set."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def admit(self, environ: Mapping[str, Any]) -> None:
        """Check the secret of the request. Raises Refusal 401."""
        if self._secret and not hmac.compare_digest(bearer(environ).encode(), self._secret):
            security.note(security.BAD_TOKEN, str(environ.get("REMOTE_ADDR", "")), path=environ["PATH_INFO"])
            raise Refusal(
                "bad-token",
                "the token is not the one of [auth] metrics_token",
                headers={"WWW-Authenticate": 'Bearer realm="duey", error="invalid_token"'},
            )


def bearer(environ: Mapping[str, Any]) -> str:
    """Return the secret that the request carries. Raises Refusal 401 if there is none."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header[:7] != "Bearer " and header[:7].lower() != "bearer ":
        raise Refusal(
            "no-token",
            "expected the header Authorization: Bearer TOKEN"
            + (", found another kind of authorization" if header else ""),
            headers={"WWW-Authenticate": 'Bearer realm="duey"'},
        )
    return str(header[7:].strip())


class AuditLog:
    """Records who changed what, and from which address."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def record(self, environ: Mapping[str, Any], token: Token, action: str, target: str, detail: str = "") -> None:
        """Record one action that is already done. Never raises."""
        self._audit.note(token.name, API, environ.get("REMOTE_ADDR", ""), action, target, 1, detail)
