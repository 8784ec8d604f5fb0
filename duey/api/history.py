"""History over HTTP: the attempts of a job, the groups of errors, and the removal of an ended job.

These endpoints exist only where there is a history. It is a moment behind: the end of a job appears here once it is
recorded. GET /api/jobs/ID is always current.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from duey.api import views
from duey.api.answer import respond
from duey.api.auth import AuditLog, TaskScopes
from duey.api.openapi import Answer, Endpoint
from duey.api.requests import ERROR_QUERY, LOG_QUERY
from duey.control.job_log import read_log
from duey.control.service import Control
from duey.errors import UnknownJob
from duey.model.job import Job
from duey.monitor.access import Token
from duey.monitor.access.tokens import READ
from duey.monitor.history.values import Attempt, ErrorGroups, JobHistory


class History(Protocol):
    """The part of duey.monitor.history.History that these endpoints use."""

    def job(self, job_id: str) -> Job: ...
    def attempts(self, job_id: str) -> tuple[Attempt, ...]: ...
    def job_history(self, job_id: str) -> JobHistory: ...
    def error_groups(
        self, state: str | None = None, task: str | None = None, q: str | None = None, limit: int = 50,
        cursor: str | None = None,
    ) -> ErrorGroups: ...  # fmt: skip
    def forget(self, job_id: str) -> None: ...


class HistoryRoutes:
    """The endpoints of the history."""

    def __init__(self, control: Control, history: History, audit_log: AuditLog, scopes: TaskScopes) -> None:
        self._control, self._history, self._audit_log, self._scopes = control, history, audit_log, scopes

    def attempts(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        self._check_readable(token, id)
        try:
            found = self._history.attempts(id)
        except UnknownJob:  # or not recorded yet
            self._control.job(id)  # raises UnknownJob (404) if the queue does not know the job either
            found = ()
        return respond(200, {"attempts": [views.ATTEMPT.of(each) for each in found]})

    def log(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        self._check_readable(token, id)
        page = read_log(self._control, self._history, id, LOG_QUERY.read_query(environ).get("after", 0))
        lines = [views.LINE.of(each) for each in page.lines]
        return respond(200, {"lines": lines, "next": page.next, "complete": page.complete})

    def _check_readable(self, token: Token, job_id: str) -> None:
        """Raise UnknownJob for a job that a token of some tasks may not read."""
        if token.allows(READ):
            return
        try:
            job = self._control.job(job_id)
        except UnknownJob:
            job = self._history.job(job_id)
        if not self._scopes.may_read(token, job):
            raise UnknownJob(job_id)

    def errors(self, environ: Mapping[str, Any], token: Token) -> bytes:
        page = self._history.error_groups(**ERROR_QUERY.read_query(environ))
        return respond(200, {"errors": [views.ERROR_GROUP.of(each) for each in page.groups], "next": page.next})

    def forget(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        """Remove the job from the queue's storage first, then from the history. 404 if neither has it."""
        found = False
        for holder in (self._control, self._history):
            try:
                holder.forget(id)
                found = True
            except UnknownJob:
                continue
        if not found:
            raise UnknownJob(id)
        self._audit_log.record(environ, token, "delete", id)
        return respond(200, {"id": id, "deleted": True})

    def endpoints(self) -> list[Endpoint]:
        attempts = views.object_of(attempts=views.array("Attempt"))
        errors = views.object_of(errors=views.array("ErrorGroup"), next=views.TEXT_OR_NULL)
        gone = views.object_of(id=views.TEXT, deleted=views.YES_NO)
        position = {**views.WHOLE, "description": "for `after` of the next request"}
        complete = {**views.YES_NO, "description": "the job has ended, and no more lines will follow"}
        log = views.object_of(lines=views.array("LogLine"), next=position, complete=complete)
        return [
            Endpoint(
                "GET", "/api/jobs/{id}/log", self.log, "Log lines of all executions of a job, also of the running one",
                "read", {200: Answer("oldest first; those of a running job as of about a second ago", log)}, (404,),
                query=LOG_QUERY, of_tasks=True,
            ),
            Endpoint(
                "GET", "/api/jobs/{id}/attempts", self.attempts, "Every execution of a job", "read",
                {200: Answer("oldest first", attempts)}, (404,), of_tasks=True,
            ),
            Endpoint(
                "GET", "/api/errors", self.errors, "Failed attempts grouped by their cause", "read",
                {200: Answer("last seen first", errors)}, query=ERROR_QUERY,
            ),
            Endpoint(
                "DELETE", "/api/jobs/{id}", self.forget, "Remove an ended job from the history", "admin",
                {200: Answer("deleted", gone)}, (404, 409),
            ),
        ]  # fmt: skip
