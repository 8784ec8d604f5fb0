"""Tasks over HTTP: the tasks that can be enqueued, with their parameters; pause and resume."""

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


class Tasks:
    """The endpoints under /api/tasks."""

    def __init__(self, control: Control, views: Views, audit_log: AuditLog) -> None:
        self._control, self._views, self._audit_log = control, views, audit_log

    def show(self, environ: Mapping[str, Any], token: Token) -> bytes:
        return respond(200, {"tasks": [self._views.task(task) for task in self._control.tasks(schemas=True)]})

    def pause(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.pause_task(name)
        return self._changed(environ, token, "pause task", name)

    def resume(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.resume_task(name)
        return self._changed(environ, token, "resume task", name)

    def _changed(self, environ: Mapping[str, Any], token: Token, action: str, name: str) -> bytes:
        self._audit_log.record(environ, token, action, name)
        return respond(202, self._views.task(self._control.task(name)))

    def endpoints(self) -> list[Endpoint]:
        changed = {202: Answer("done; the task as it is now", schemas.ref("Task"))}
        return [
            Endpoint(
                "GET",
                "/api/tasks",
                self.show,
                "List the registered tasks",
                "read",
                {200: Answer("by name", schemas.object_of(tasks=schemas.array("Task")))},
            ),
            Endpoint(
                "POST",
                "/api/tasks/{name}/pause",
                self.pause,
                "Pause a task: its jobs wait",
                "admin",
                changed,
                (404, 422),
            ),
            Endpoint(
                "POST",
                "/api/tasks/{name}/resume",
                self.resume,
                "Let them run again",
                "admin",
                changed,
                (404, 422),
            ),
        ]
