"""Health: `/healthz` says that the web process answers, `/readyz` that jobs can be taken and will be run.

Both are open, so that a load balancer needs no token, and neither says more than it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duey.api import schemas
from duey.api.answer import say
from duey.api.endpoint import Answer, Endpoint
from duey.api.problem import Refusal
from duey.control.service import Control

RETRY_AFTER = {"Retry-After": "5"}


class Health:
    """The endpoints /healthz and /readyz."""

    def __init__(self, control: Control, books: Any = None) -> None:
        self._control, self._books = control, books

    def alive(self, environ: Mapping[str, Any], token: None) -> bytes:
        return say(200, {"status": "ok"})

    def ready(self, environ: Mapping[str, Any], token: None) -> bytes:
        health = self._control.health()
        problems, warnings = list(health.problems), list(health.warnings)
        if self._books is not None:
            books = self._books.health()
            problems, warnings = [*problems, *books.problems], [*warnings, *books.warnings]
        if problems or not health.ok:
            detail = "; ".join(problems) or "the service is not ready"
            raise Refusal("not-ready", detail, headers=RETRY_AFTER, problems=problems, warnings=warnings)
        return say(200, {"status": "ready", "warnings": warnings})

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
                "Can jobs be taken, and will they be run",
                None,
                {200: Answer("yes", ready)},
                (503,),
            ),
        ]
