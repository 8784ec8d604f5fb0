"""Views: the engine's values as the JSON of CONTRACT.md, each declared once: what is written, and its JSON schema.

Times are RFC 3339 in UTC with milliseconds and a Z. Durations are in milliseconds where the name says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any
from urllib.parse import quote

from duey.clock import rfc3339
from duey.control.schedules import CATCH_UP, OUTCOMES, OVERLAP
from duey.model.job import STATES, Job, WorkerInfo

_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:-]+").fullmatch
TEXT: dict[str, Any] = {"type": "string"}
TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
NUMBER_OR_NULL: dict[str, Any] = {"type": ["number", "null"]}
WHOLE: dict[str, Any] = {"type": "integer", "minimum": 0}
YES_NO: dict[str, Any] = {"type": "boolean"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
TIME_OR_NULL: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
OBJECT: dict[str, Any] = {"type": "object"}
ANYTHING: dict[str, Any] = {}
REASON = (
    "why it is blocked: task NAME or queue NAME (paused), limit TASK, rate TASK, or unknown TASK (no consumer has it); "
    "or why it is tried again at its eta: lock NAME (held by another job); or gone: it is in the history, and not in "
    "the queue any more, so it will not run"
)
BY = (
    "who enqueued it: the name of a token or an account, cli:USER or schedule:NAME; a job that another job enqueues "
    "has the value of that job; null: Python code outside of any job"
)


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


JOB_OR_RECEIPT: dict[str, Any] = {
    "anyOf": [ref("Job"), ref("Receipt")],
    "description": "the job; for a token without the scope `read`, its receipt",
}


def array(name: str) -> dict[str, Any]:
    return {"type": "array", "items": ref(name)}


def object_of(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that always has all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


class View:
    """The JSON form of one kind of value. A field has a schema, or the view of its value (null where that is None), or
    a list with the view of each member. `attributes`: those that have another name than their field."""

    def __init__(self, fields: Mapping[str, Any], added: Mapping[str, Any] | None = None, **attributes: str) -> None:
        """`added`: fields that are not read from the value."""
        self.schema = object_of(**{name: _schema_of(each) for name, each in {**fields, **(added or {})}.items()})
        self._names = tuple(fields)
        self._read = attrgetter(*(attributes.get(name, name) for name in fields))
        self._times = [name for name, each in fields.items() if isinstance(each, dict) and "date-time" in each.values()]
        self._inner = {name: each for name, each in fields.items() if not isinstance(each, dict)}

    def of(self, value: Any) -> dict[str, Any]:
        shown = dict(zip(self._names, self._read(value), strict=True))
        for name in self._times:
            shown[name] = rfc3339(shown[name])
        for name, view in self._inner.items():
            inner = shown[name]
            shown[name] = [view[0].of(each) for each in inner] if type(view) is list else inner and view.of(inner)
        return shown


def _schema_of(field: Any) -> dict[str, Any]:
    if isinstance(field, View):
        return {"anyOf": [field.schema, {"type": "null"}]}
    return {"type": "array", "items": field[0].schema} if isinstance(field, list) else field


STRINGS: dict[str, Any] = {"type": "array", "items": TEXT}
PARAMETER = View({
    "name": TEXT, "type": TEXT, "default": ANYTHING, "required": YES_NO, "kind": TEXT,
    "schema": {**OBJECT, "description": "the JSON schema of its value"},
})  # fmt: skip
TASK = View({
    "name": TEXT, "qualname": TEXT, "doc": TEXT, "parameters": [PARAMETER], "options": OBJECT, "paused": YES_NO,
    "periodic": YES_NO,
})  # fmt: skip
QUEUE = View({"name": TEXT, "waiting": WHOLE, "oldest_age_s": NUMBER_OR_NULL, "paused": YES_NO})
RUNNING = View({"job": TEXT, "task": TEXT, "started": TIME_OR_NULL}, {"url": TEXT}, job="job_id", started="started_at")
WORKER = View(
    {
        "id": TEXT, "host": TEXT, "pid": WHOLE, "started": TIME, "heartbeat": TIME, "workers": WHOLE,
        "worker_type": TEXT, "queues": STRINGS, "alive": YES_NO, "quiet": YES_NO, "running": [RUNNING],
        "rss_bytes": {"type": ["integer", "null"]}, "code": TEXT, "consumer": TEXT,
    },
    started="started_at", heartbeat="heartbeat_at",
)  # fmt: skip
LINE = View({"at": TIME, "level": TEXT, "text": TEXT, "left_out": WHOLE})
ATTEMPT = View({
    "number": WHOLE, "outcome": TEXT, "worker": TEXT_OR_NULL, "started_at": TIME_OR_NULL, "finished_at": TIME,
    "wait_ms": NUMBER_OR_NULL, "run_ms": NUMBER_OR_NULL,
    "error": View({"type": TEXT, "message": TEXT, "traceback": TEXT}), "logs": [LINE], "cpu_ms": NUMBER_OR_NULL,
    "peak_bytes": {"type": ["integer", "null"]},
})  # fmt: skip
ERROR_GROUP = View(
    {
        "fingerprint": TEXT, "type": TEXT, "message": TEXT, "task": TEXT, "qualname": TEXT, "state": TEXT,
        "count": WHOLE, "first_seen": TIME, "last_seen": TIME, "last_job": TEXT, "last_day": WHOLE,
        "last_week": WHOLE, "regressed_at": TIME_OR_NULL,
    },
    last_job="last_job_id",
)  # fmt: skip
SLOT = View(
    {"at": TIME, "outcome": {"enum": list(OUTCOMES)}, "job": TEXT_OR_NULL, "reason": TEXT_OR_NULL}, job="job_id"
)
SCHEDULE = View(
    {
        "name": TEXT,
        "task": TEXT,
        "qualname": TEXT,
        "source": {"enum": ["code", "made"]},
        "expression": TEXT,
        "words": {**TEXT, "description": "the expression in words"},
        "timezone": TEXT,
        "catch_up": {"enum": list(CATCH_UP)},
        "overlap": {"enum": list(OVERLAP)},
        "window": {"type": "number"},
        "paused": YES_NO,
        "known": {**YES_NO, "description": "whether its task is registered"},
        "problem": {**TEXT_OR_NULL, "description": "why it cannot run"},
        "last": {**TIME_OR_NULL, "description": "the latest slot that ran"},
        "next": {"type": "array", "items": TIME, "maxItems": 5},
        "slots": [SLOT],  # the newest first
        "args": {"type": "array"},
        "kwargs": OBJECT,
        "version": {**TEXT, "description": "differs after each change of the schedule: send it with a change"},
    },
    timezone="tz", window="window_s", last="last_at", next="next_at",
)  # fmt: skip
PROGRESS = object_of(done=NUMBER_OR_NULL, total=NUMBER_OR_NULL, note=TEXT_OR_NULL)
JOB = View(
    {
        "id": TEXT,
        "task": TEXT,
        "by": {**TEXT_OR_NULL, "description": BY},
        "qualname": TEXT,
        "queue": TEXT,
        "args": {"type": "array"},
        "kwargs": OBJECT,
        "state": {"enum": list(STATES)},
        "priority": {"type": "number"},
        "attempt": WHOLE,
        "retries_left": WHOLE,
        "crashes": WHOLE,
        "enqueued_at": TIME,
        "eta": TIME_OR_NULL,
        "expires_at": TIME_OR_NULL,
        "started_at": TIME_OR_NULL,
        "finished_at": TIME_OR_NULL,
        "wait_ms": NUMBER_OR_NULL,
        "run_ms": NUMBER_OR_NULL,
        "progress": {"anyOf": [PROGRESS, {"type": "null"}]},
        "result": ANYTHING,
        "result_stored": {**YES_NO, "description": "false if the result was too large to keep or has expired"},
        "error": View({"type": TEXT, "message": TEXT}),
        "reason": {**TEXT_OR_NULL, "description": REASON},
        "context": OBJECT,
        "worker": TEXT_OR_NULL,
        "parent": TEXT_OR_NULL,
    },
    {"url": TEXT},
)
NOTIFICATION = View({
    "channel": TEXT, "kind": TEXT,
    "state": {"enum": ["waiting", "sent", "failed", "merged"], "description": "merged: it was told in a digest"},
    "attempts": WHOLE, "answer": {**TEXT_OR_NULL, "description": "what the channel answered last"},
    "due_at": TIME, "ended_at": TIME_OR_NULL,
})  # fmt: skip
INCIDENT = View(
    {
        "id": TEXT, "rule": TEXT, "title": TEXT, "state": {"enum": ["open", "closed"]}, "opened_at": TIME,
        "closed_at": TIME_OR_NULL, "count": {**WHOLE, "description": "how often it happened"},
        "facts": {"type": "array", "items": {"type": "array", "items": TEXT}, "description": "[label, value]"},
        "flapping": YES_NO, "acked_at": TIME_OR_NULL, "acked_by": TEXT_OR_NULL, "muted_until": TIME_OR_NULL,
        "notifications": [NOTIFICATION],
    },
    None, id="incident.id", rule="incident.rule", title="incident.title", state="incident.state",
    opened_at="incident.opened_at", closed_at="incident.closed_at", count="incident.count", facts="incident.facts",
    flapping="incident.flapping", acked_at="incident.acked_at", acked_by="incident.acked_by",
    muted_until="incident.muted_until",
)  # fmt: skip
CHANNEL = View({
    "name": TEXT, "kind": TEXT, "sent_at": {**TIME_OR_NULL, "description": "when it last took a message"},
    "error_at": TIME_OR_NULL, "error": {**TEXT_OR_NULL, "description": "its last error"},
    "waiting": WHOLE,
})  # fmt: skip
TESTED = View({"channel": TEXT, "state": {"enum": ["sent", "failed"]}, "answer": TEXT})
VIEWS = {
    "Incident": INCIDENT,
    "Channel": CHANNEL,
    "Schedule": SCHEDULE,
    "Job": JOB,
    "Attempt": ATTEMPT,
    "LogLine": LINE,
    "ErrorGroup": ERROR_GROUP,
    "Task": TASK,
    "Queue": QUEUE,
    "Worker": WORKER,
}


def schedule_view(schedule: Any) -> dict[str, Any]:
    """Return a schedule as JSON."""
    shown = SCHEDULE.of(schedule)
    return shown | {"next": [rfc3339(at) for at in shown["next"]]}


class Views:
    """Makes views. Knows the base URL of the service, for the `url` of a job."""

    def __init__(self, public_url: str = "", url_prefix: str = "") -> None:
        self.base = public_url.rstrip("/") + url_prefix.rstrip("/")
        self._jobs = f"{self.base}/api/jobs/"

    def job_url(self, job_id: str) -> str:
        return self._jobs + (job_id if _PLAIN_ID(job_id) else quote(job_id, safe=""))

    def job(self, job: Job) -> dict[str, Any]:
        """Return a job with all fields of the contract and more."""
        shown = JOB.of(job)
        shown["url"] = self.job_url(job.id)
        return shown

    def receipt(self, job: Job) -> dict[str, Any]:
        """Return what a token learns that may not read the job."""
        return {"id": job.id, "state": job.state, "url": self.job_url(job.id)}

    def worker(self, consumer: WorkerInfo) -> dict[str, Any]:
        shown = WORKER.of(consumer)
        for each in shown["running"]:
            each["url"] = self.job_url(each["job"])
        return shown
