"""Health: `/healthz` says that the web process answers, `/readyz` that jobs can be accepted and will run.

Both are open, so that a load balancer needs no token. Without a token the answer only names the part that fails.
Messages that name files and addresses are shown only to a token with the scope `read`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duey.api import schemas
from duey.api.answer import respond
from duey.api.auth import TokenAuth
from duey.api.endpoint import Answer, Endpoint
from duey.api.problem import Refusal
from duey.control.service import Control
from duey.monitor.access import AccessUnavailable

RETRY_AFTER = {"Retry-After": "5"}
WARNED = "there are warnings: ask with a token that has the scope read to see them"


class Health:
    """The endpoints /healthz and /readyz."""

    def __init__(self, control: Control, auth: TokenAuth, history: Any = None) -> None:
        self._control, self._auth, self._history = control, auth, history

    def alive(self, environ: Mapping[str, Any], token: None) -> bytes:
        return respond(200, {"status": "ok"})

    def ready(self, environ: Mapping[str, Any], token: None) -> bytes:
        health = self._control.health()
        problems, warnings, missing = list(health.problems), list(health.warnings), []
        if not health.usable:
            missing.append("the storage of the queue cannot be used")
        elif not health.ok:
            missing.append("no consumer is running" if health.schedules_since is None else "no consumer runs schedules")
        if self._history is not None:
            history = self._history.health()
            problems, warnings = [*problems, *history.problems], [*warnings, *history.warnings]
            if history.problems:
                missing.append("the history cannot be read or recorded")
        if not self._may_read(environ):
            problems, warnings = missing, [WARNED] if warnings else []
        if missing:
            raise Refusal("not-ready", "; ".join(problems), headers=RETRY_AFTER, problems=problems, warnings=warnings)
        return respond(200, {"status": "ready", "warnings": warnings})

    def _may_read(self, environ: Mapping[str, Any]) -> bool:
        try:
            return self._auth.known(environ).allows("read")
        except (Refusal, AccessUnavailable):
            return False

    def endpoints(self) -> list[Endpoint]:
        text = {"type": "string"}
        ready = schemas.object_of(status=text, warnings={"type": "array", "items": text})
        return [
            Endpoint(
                "GET",
                "/healthz",
                self.alive,
                "Is the web process alive",
                None,
                {200: Answer("yes", schemas.object_of(status=text))},
            ),
            Endpoint(
                "GET",
                "/readyz",
                self.ready,
                "Can jobs be accepted, and will they run",
                None,
                {200: Answer("yes", ready)},
                (503,),
            ),
        ]
