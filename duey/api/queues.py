"""Queues over HTTP: the number of waiting jobs by queue; pause and resume."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from duey.api import schemas
from duey.api.answer import respond
from duey.api.audit import AuditLog
from duey.api.endpoint import Answer, Endpoint
from duey.api.problem import Refusal
from duey.api.requests import NAME_PATTERN
from duey.api.views import Views
from duey.control.service import Control
from duey.monitor.access import Token

_NAME = re.compile(NAME_PATTERN)


class Queues:
    """The endpoints under /api/queues."""

    def __init__(self, control: Control, views: Views, audit_log: AuditLog) -> None:
        self._control, self._views, self._audit_log = control, views, audit_log

    def show(self, environ: Mapping[str, Any], token: Token) -> bytes:
        return respond(200, {"queues": [self._views.queue(queue) for queue in self._control.queues()]})

    def pause(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.pause_queue(_checked(name))
        self._audit_log.record(environ, token, "pause queue", name)
        return respond(202, {"name": name, "paused": True})

    def resume(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.resume_queue(_checked(name))
        self._audit_log.record(environ, token, "resume queue", name)
        return respond(202, {"name": name, "paused": False})

    def endpoints(self) -> list[Endpoint]:
        schema = schemas.object_of(name={"type": "string"}, paused={"type": "boolean"})
        changed = {202: Answer("done; also for a queue that holds nothing yet", schema)}
        return [
            Endpoint(
                "GET",
                "/api/queues",
                self.show,
                "List the queues and how many jobs wait in each",
                "read",
                {200: Answer("by name", schemas.object_of(queues=schemas.array("Queue")))},
            ),
            Endpoint(
                "POST",
                "/api/queues/{name}/pause",
                self.pause,
                "Pause a queue: its jobs wait",
                "admin",
                changed,
                (404,),
            ),
            Endpoint(
                "POST",
                "/api/queues/{name}/resume",
                self.resume,
                "Let them run again",
                "admin",
                changed,
                (404,),
            ),
        ]


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refusal(
            "unknown-queue",
            f"no queue can be named {name[:100]!r}: 1 to 64 of A-Z a-z 0-9 _ . - are expected",
        )
    return name
