"""Jobs over HTTP: enqueue one or many, look up, wait, list, cancel, retry.

To enqueue, the token, the body, the request and the engine's rules are checked in this order. Nothing is stored before
all checks pass. POST /api/jobs is the busiest endpoint, so nothing is checked twice. Its answer may be the job of
another caller, which holds the id or the unique key. So a token without `read` always gets a short receipt.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from duey.api import requests, views
from duey.api.answer import Refusal, respond
from duey.api.auth import AuditLog, TaskScopes
from duey.api.body import BodyReader, decode
from duey.api.openapi import Answer, Body, Endpoint
from duey.api.views import Views
from duey.api.waiting import WaitingRoom
from duey.control.service import Control
from duey.errors import UnknownJob
from duey.model.job import ENDED, STATES, EnqueueAnswer, Idempotency, Job
from duey.monitor.access import Token
from duey.monitor.access.tokens import ENQUEUE, READ

_VISIBLE = re.compile(r"[!-~]{1,255}")

KEY = {
    "name": "Idempotency-Key",
    "description": "within 24 hours, the same key with the same body returns the same jobs; another body: 409",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
PAGE_BYTES = 1024 * 1024
LIVE = frozenset(STATES) - ENDED  # read from the queue: the history records a job's start only when the job ends
REPLAYED = {"Idempotency-Replayed": "true when an earlier request with this key was answered"}
LOCATION = {"Location": "the address of the job"}


class Jobs:
    """The endpoints under /api/jobs. `history`, if given, serves lists and jobs that the queue has removed."""

    def __init__(
        self,
        control: Control,
        reader: BodyReader,
        views: Views,
        waiting: WaitingRoom,
        audit_log: AuditLog,
        scopes: TaskScopes,
        mark: Callable[[str, str], str],
        history: Any = None,
    ) -> None:
        """`mark` returns a secret mark of a text, which no other web makes of it (Csrf.mark)."""
        self._mark = mark
        self._control, self._reader, self._views = control, reader, views
        self._waiting, self._audit_log, self._history = waiting, audit_log, history
        self._scopes = scopes

    def enqueue(self, environ: Mapping[str, Any], token: Token) -> bytes:
        raw = self._reader.read(environ)
        request = requests.single(decode(raw))
        self._scopes.check(environ, token, ENQUEUE, (request.task,))
        key = environ.get("HTTP_IDEMPOTENCY_KEY")
        promise = None if key is None else self._promise(key, raw, environ, token)
        enqueued = self._control.enqueue((request,), promise, by=token.name)
        view = self._answer(token, enqueued.jobs[0])
        if enqueued.held:  # a job that has not ended holds the unique key or the id
            return respond(200, view, view["url"])
        return respond(202, view, view["url"], headers=_replayed(enqueued))

    def enqueue_batch(self, environ: Mapping[str, Any], token: Token) -> bytes:
        raw = self._reader.read(environ)
        batch = requests.batch(decode(raw))
        self._scopes.check(environ, token, ENQUEUE, {each.task for each in batch})
        key = environ.get("HTTP_IDEMPOTENCY_KEY")
        promise = None if key is None else self._promise(key, raw, environ, token)
        enqueued = self._control.enqueue(batch, promise, batch=True, by=token.name)
        views = [self._answer(token, job) for job in enqueued.jobs]
        return respond(202, {"jobs": views}, headers=None if key is None else _replayed(enqueued))

    def _promise(self, key: str, raw: bytes, environ: Mapping[str, Any], token: Token) -> Idempotency:
        """The idempotency record of a key: it covers the token, the path and the exact bytes. Raises Refusal 400."""
        if not _VISIBLE.fullmatch(key):
            raise Refusal("bad-request", "expected an Idempotency-Key of 1 to 255 visible ASCII characters")
        fingerprint = hashlib.sha256(environ["PATH_INFO"].encode() + b"\n" + raw).hexdigest()
        # Webs with accounts of their own number their tokens from 1 on, each for itself.
        number = str(token.id)
        return Idempotency(self._mark("idempotency", number)[:32], key, fingerprint, former=number)

    def look_up(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        query = requests.WAIT_QUERY.read_query(environ)
        if not query.get("wait"):
            return respond(200, self._views.job(self._readable(id, token)))
        if not token.allows(READ):
            self._readable(id, token)  # before it waits for it
        try:
            job, waited = self._waiting.wait(id, query["wait"], environ)
        except UnknownJob:
            return respond(200, self._views.job(self._from_history(id)))
        return respond(200, self._views.job(job), headers=None if waited else {"Retry-After": "1"})

    def page(self, environ: Mapping[str, Any], token: Token) -> bytes:
        query = requests.LIST_QUERY.read_query(environ)
        if not token.allows(READ):
            self._scopes.check(environ, token, READ, (query.get("task", ""),))
            query["task"] = self._scopes.full(query["task"])
        while True:
            if self._history is None or query.get("state") in LIVE:
                page = self._control.jobs(**query)
                jobs = page.jobs
            else:
                task = query.get("task")
                page = self._history.jobs(**query | ({"task": self._control.known.searched(task)} if task else {}))
                # One that has not ended in the history may have changed since.
                now = self._control.jobs_of([job.id for job in page.jobs if job.state not in ENDED])
                jobs = tuple(now.get(job.id) or self._recorded_now(job) for job in page.jobs)
            body = {"jobs": [self._views.job(job) for job in jobs], "next": page.next}
            answer = respond(200, body)
            if len(answer) <= PAGE_BYTES or len(page.jobs) < 2:
                return answer
            query["limit"] = max(1, len(page.jobs) * PAGE_BYTES // len(answer))  # shorter; `next` leads to the rest

    def cancel(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        job = self._control.cancel(id)
        self._audit_log.record(environ, token, "cancel", id)
        return self._accepted(job)

    def retry(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        raw = self._reader.read_optional(environ)
        given = requests.ARGUMENTS.read(decode(raw)) if raw else {}
        args, kwargs = given.get("args"), given.get("kwargs")
        job = self._control.retry(id, args, kwargs)
        edited = " and ".join(name for name, new in (("args", args), ("kwargs", kwargs)) if new is not None)
        self._audit_log.record(environ, token, "retry", id, f"with other {edited}" if edited else "")
        return self._accepted(job)

    def _answer(self, token: Token, job: Job) -> dict[str, Any]:
        return self._views.job(job) if self._scopes.may_read(token, job) else self._views.receipt(job)

    def run_now(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        self._control.run_now(id)
        self._audit_log.record(environ, token, "run now", id)
        return self._accepted(self._control.job(id))

    def _accepted(self, job: Job) -> bytes:
        view = self._views.job(job)
        return respond(202, view, view["url"])

    def _readable(self, job_id: str, token: Token) -> Job:
        """Return the job. One that the token may not read is unknown to it."""
        job = self._job(job_id)
        if not self._scopes.may_read(token, job):
            raise UnknownJob(job_id)
        return job

    def _job(self, job_id: str) -> Job:
        try:
            return self._control.job(job_id)
        except UnknownJob:
            return self._from_history(job_id)

    def _from_history(self, job_id: str) -> Job:
        if self._history is None:
            raise UnknownJob(job_id)
        job: Job = self._history.job(job_id)
        return job.unknown_to_queue()

    def _recorded_now(self, job: Job) -> Job:
        """A job of the history that the queue does not have, or that had ended. The former may have ended meanwhile."""
        return job if job.state in ENDED else self._from_history(job.id)

    def endpoints(self) -> list[Endpoint]:
        page = {
            "type": "object",
            "required": ["jobs", "next"],
            "properties": {"jobs": views.array("Job"), "next": {"type": ["string", "null"]}},
        }
        changed = {202: Answer("done or requested; the current state of the job", views.ref("Job"), LOCATION)}
        return [
            Endpoint(
                "POST",
                "/api/jobs",
                self.enqueue,
                "Enqueue a job",
                "enqueue",
                {
                    202: Answer("accepted: it will run", views.JOB_OR_RECEIPT, {**LOCATION, **REPLAYED}),
                    200: Answer(
                        "nothing was stored: this job has the unique key or the id", views.JOB_OR_RECEIPT, LOCATION
                    ),
                },
                (400, 404, 409, 429),
                headers=(KEY,),
                body=Body(views.ref("JobRequest")),
                of_tasks=True,
            ),
            Endpoint(
                "POST",
                "/api/jobs/batch",
                self.enqueue_batch,
                "Enqueue up to 1,000 jobs, all or none",
                "enqueue",
                {
                    202: Answer(
                        "accepted, in the order of the request",
                        views.object_of(jobs={"type": "array", "items": views.JOB_OR_RECEIPT}),
                        REPLAYED,
                    )
                },
                (400, 404, 409, 429),
                headers=(KEY,),
                body=Body(
                    {"type": "array", "items": views.ref("JobRequest"), "minItems": 1, "maxItems": requests.MAX_BATCH}
                ),
                of_tasks=True,
            ),
            Endpoint(
                "GET",
                "/api/jobs",
                self.page,
                "List jobs, newest first",
                "read",
                {200: Answer("a page", page)},
                (404,),
                query=requests.LIST_QUERY,
                of_tasks=True,
            ),
            Endpoint(
                "GET",
                "/api/jobs/{id}",
                self.look_up,
                "Get a job, or wait until it has ended",
                "read",
                {
                    200: Answer(
                        "the job",
                        views.ref("Job"),
                        {"Retry-After": "present if too many requests wait: the body is the current state"},
                    )
                },
                (404,),
                query=requests.WAIT_QUERY,
                of_tasks=True,
            ),
            Endpoint(
                "POST",
                "/api/jobs/{id}/cancel",
                self.cancel,
                "Cancel a job, or ask a running one to stop",
                "admin",
                changed,
                (404, 409),
            ),
            Endpoint(
                "POST",
                "/api/jobs/{id}/run",
                self.run_now,
                "Run a scheduled job now, ahead of its time",
                "admin",
                changed,
                (404, 409),
            ),
            Endpoint(
                "POST",
                "/api/jobs/{id}/retry",
                self.retry,
                "Run a job again, optionally with other arguments",
                "admin",
                changed,
                (404, 409, 429),
                body=Body(views.ref("Arguments"), required=False),
            ),
        ]


def _replayed(enqueued: EnqueueAnswer) -> dict[str, str] | None:
    return {"Idempotency-Replayed": "true"} if enqueued.replayed else None
