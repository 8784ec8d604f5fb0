"""Workers over HTTP: the consumer processes and the jobs they run; quiet and stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duey.api import schemas
from duey.api.answer import respond
from duey.api.audit import AuditLog
from duey.api.endpoint import Answer, Endpoint
from duey.api.views import Views
from duey.control.service import Control
from duey.monitor.access import Token


class Workers:
    """The endpoints under /api/workers."""

    def __init__(self, control: Control, views: Views, audit_log: AuditLog) -> None:
        self._control, self._views, self._audit_log = control, views, audit_log

    def show(self, environ: Mapping[str, Any], token: Token) -> bytes:
        return respond(200, {"workers": [self._views.worker(each) for each in self._control.workers()]})

    def quiet(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        self._control.quiet(id)
        self._audit_log.record(environ, token, "quiet", id)
        return respond(202, {"id": id, "asked": "quiet"})

    def stop(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        self._control.stop(id)
        self._audit_log.record(environ, token, "stop", id)
        return respond(202, {"id": id, "asked": "stop"})

    def endpoints(self) -> list[Endpoint]:
        schema = schemas.object_of(id={"type": "string"}, asked={"enum": ["quiet", "stop"]})
        return [
            Endpoint(
                "GET",
                "/api/workers",
                self.show,
                "List the consumers and what they run",
                "read",
                {200: Answer("all that are known", schemas.object_of(workers=schemas.array("Worker")))},
            ),
            Endpoint(
                "POST",
                "/api/workers/{id}/quiet",
                self.quiet,
                "Ask a consumer to take no more jobs",
                "admin",
                {202: Answer("it was asked", schema)},
                (404,),
            ),
            Endpoint(
                "POST",
                "/api/workers/{id}/stop",
                self.stop,
                "Ask a consumer to end gracefully",
                "admin",
                {202: Answer("it was asked", schema)},
                (404,),
            ),
        ]
