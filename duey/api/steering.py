"""Tasks, queues and consumers over HTTP: list them; pause and resume, quiet and stop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from duey.api import views
from duey.api.answer import Refusal, respond
from duey.api.auth import AuditLog
from duey.api.openapi import Answer, Endpoint
from duey.api.requests import NAME_PATTERN
from duey.api.views import Views
from duey.control.service import Control
from duey.monitor.access import Token


class Tasks:
    """The endpoints under /api/tasks."""

    def __init__(self, control: Control, views: Views, audit_log: AuditLog) -> None:
        self._control, self._views, self._audit_log = control, views, audit_log

    def show(self, environ: Mapping[str, Any], token: Token) -> bytes:
        return respond(200, {"tasks": [views.TASK.of(task) for task in self._control.tasks(schemas=True)]})

    def pause(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.pause_task(name)
        return self._changed(environ, token, "pause task", name)

    def resume(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.resume_task(name)
        return self._changed(environ, token, "resume task", name)

    def _changed(self, environ: Mapping[str, Any], token: Token, action: str, name: str) -> bytes:
        self._audit_log.record(environ, token, action, name)
        return respond(202, views.TASK.of(self._control.task(name)))

    def endpoints(self) -> list[Endpoint]:
        changed = {202: Answer("done; the current state of the task", views.ref("Task"))}
        return [
            Endpoint(
                "GET",
                "/api/tasks",
                self.show,
                "List the registered tasks",
                "read",
                {200: Answer("ordered by name", views.object_of(tasks=views.array("Task")))},
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
                "POST", "/api/tasks/{name}/resume", self.resume, "Let them run again", "admin", changed, (404, 422)
            ),
        ]


_NAME = re.compile(NAME_PATTERN)


class Queues:
    """The endpoints under /api/queues."""

    def __init__(self, control: Control, views: Views, audit_log: AuditLog) -> None:
        self._control, self._views, self._audit_log = control, views, audit_log

    def show(self, environ: Mapping[str, Any], token: Token) -> bytes:
        return respond(200, {"queues": [views.QUEUE.of(queue) for queue in self._control.queues()]})

    def pause(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.pause_queue(_checked(name))
        self._audit_log.record(environ, token, "pause queue", name)
        return respond(202, {"name": name, "paused": True})

    def resume(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        self._control.resume_queue(_checked(name))
        self._audit_log.record(environ, token, "resume queue", name)
        return respond(202, {"name": name, "paused": False})

    def endpoints(self) -> list[Endpoint]:
        schema = views.object_of(name={"type": "string"}, paused={"type": "boolean"})
        changed = {202: Answer("done, even if the queue has no jobs yet", schema)}
        return [
            Endpoint(
                "GET",
                "/api/queues",
                self.show,
                "List the queues and how many jobs wait in each",
                "read",
                {200: Answer("ordered by name", views.object_of(queues=views.array("Queue")))},
            ),
            Endpoint(
                "POST", "/api/queues/{name}/pause", self.pause, "Pause a queue: its jobs wait", "admin", changed, (404,)
            ),
            Endpoint("POST", "/api/queues/{name}/resume", self.resume, "Let them run again", "admin", changed, (404,)),
        ]


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refusal(
            "unknown-queue",
            f"no queue can be named {name[:100]!r}: 1 to 64 of A-Z a-z 0-9 _ . - are expected",
        )
    return name


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
        schema = views.object_of(id={"type": "string"}, asked={"enum": ["quiet", "stop"]})
        return [
            Endpoint(
                "GET",
                "/api/workers",
                self.show,
                "List the consumers and what they run",
                "read",
                {200: Answer("all registered consumers", views.object_of(workers=views.array("Worker")))},
            ),
            Endpoint(
                "POST",
                "/api/workers/{id}/quiet",
                self.quiet,
                "Ask a consumer to take no more jobs",
                "admin",
                {202: Answer("requested", schema)},
                (404,),
            ),
            Endpoint(
                "POST",
                "/api/workers/{id}/stop",
                self.stop,
                "Ask a consumer to end gracefully",
                "admin",
                {202: Answer("requested", schema)},
                (404,),
            ),
        ]
