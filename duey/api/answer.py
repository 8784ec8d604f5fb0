"""Answers: one JSON value, or an error as RFC 9457 `application/problem+json`.

Handlers return bytes, which Bottle sends unchanged. Values that JSON cannot represent, such as NaN in a task's
result, are written as text, so that an answer never fails because of its content.

An error is raised as an exception: a `Refusal` by the API itself, a `DueyError` by the engine. `answer` turns it into a
body with `type`, `title`, `status`, `detail` (one sentence) and, for invalid fields, `errors`: a list of
`{"path": "args[0]", "message": "..."}`. `type` is `urn:duey:KIND`. The kinds are listed in the table below; programs
may rely on them. An unexpected exception gets an incident id: its traceback is logged under this id, and the caller
sees only the id.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from bottle import response

from duey import errors
from duey.alerts.service import UnknownChannel, UnknownIncident
from duey.control.outage_log import OutageLog
from duey.monitor.access import AccessUnavailable

JSON_TYPE = "application/json"

# Built once: json.dumps with options creates a new encoder for each call.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False, default=str).encode
_ALWAYS = {"Cache-Control": ["no-store"]}


def respond(
    status: int,
    value: Any,
    location: str | None = None,
    content_type: str = JSON_TYPE,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Set status and headers of the present response and return its body. `location`: the Location header."""
    respond_bytes(status, content_type, headers)
    if location is not None:
        response.set_header("Location", location)
    return encode(value)


def respond_bytes(status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
    """Set status and headers only. For a body that is not JSON."""
    response.status = status
    common = response.headers.dict  # set_header validates each name and value, which takes 1 µs each
    common.update(_ALWAYS)
    common["Content-Type"] = [content_type]
    if headers:
        for name, text in headers.items():
            response.set_header(name, text)


def encode(value: Any) -> bytes:
    """Return compact JSON in ASCII."""
    try:
        return _encode(value).encode("ascii")
    except ValueError:  # NaN and Infinity are not valid JSON
        return _encode(_finite(value)).encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value


log = logging.getLogger(__name__)
outages = OutageLog(log)

PROBLEM_TYPE = "application/problem+json"
ERRORS_SHOWN = 50  # keeps the answer to a batch of 1,000 invalid jobs small
DETAIL_CHARS = 2000  # a sentence can quote input of any length

KINDS: dict[str, tuple[int, str]] = {
    "not-json": (400, "The body is not JSON"),
    "bad-request": (400, "The request cannot be read"),
    "no-token": (401, "A token is needed"),
    "bad-token": (401, "The token is not valid"),
    "scope": (403, "The token does not allow this"),
    "no-such-path": (404, "Not found"),
    "unknown-task": (404, "Unknown task"),
    "unknown-job": (404, "Unknown job"),
    "unknown-worker": (404, "Unknown consumer"),
    "unknown-queue": (404, "Unknown queue"),
    "unknown-schedule": (404, "Unknown schedule"),
    "unknown-incident": (404, "Unknown incident"),
    "unknown-channel": (404, "Unknown channel"),
    "method": (405, "The method is not allowed here"),
    "conflict": (409, "Conflict"),
    "state-conflict": (409, "The job's state does not allow this"),
    "duplicate-job": (409, "A job with this id has ended"),
    "unique-conflict": (409, "The unique key is held"),
    "key-reused": (409, "The Idempotency-Key was used for another request"),
    "schedule-exists": (409, "The name of the schedule is taken"),
    "schedule-of-code": (409, "The schedule is written in the code"),
    "too-large": (413, "The body is too large"),
    "not-json-type": (415, "The body is not declared as JSON"),
    "unknown-host": (421, "The service has another name"),
    "invalid": (422, "The request holds values that cannot be accepted"),
    "ambiguous-task": (422, "Several tasks have this name"),
    "too-many-pending": (429, "Too many jobs wait"),
    "incident": (500, "Unexpected error"),
    "storage-away": (503, "The storage cannot be used now"),
    "access-away": (503, "Tokens cannot be checked now"),
    "not-ready": (503, "The service is not ready"),
}

# By class, nearest ancestor first: an error that is not listed here is answered as its parent.
KIND_OF_ERROR: dict[type, str] = {
    errors.BadRequest: "invalid",
    errors.InvalidArguments: "invalid",
    errors.UnserializableError: "invalid",
    errors.UnknownTask: "unknown-task",
    errors.AmbiguousTask: "ambiguous-task",
    errors.UnknownJob: "unknown-job",
    errors.UnknownWorker: "unknown-worker",
    errors.UnknownSchedule: "unknown-schedule",
    UnknownIncident: "unknown-incident",
    UnknownChannel: "unknown-channel",
    errors.BadSchedule: "invalid",
    errors.Conflict: "conflict",
    errors.StateConflict: "state-conflict",
    errors.DuplicateJob: "duplicate-job",
    errors.UniqueConflict: "unique-conflict",
    errors.KeyReused: "key-reused",
    errors.ScheduleExists: "schedule-exists",
    errors.ScheduleOfCode: "schedule-of-code",
    errors.TooManyPending: "too-many-pending",
    errors.StorageUnavailable: "storage-away",
    AccessUnavailable: "access-away",
}

SCHEDULE_FIELDS = {"tz": "timezone", "window_s": "window"}  # the names of these fields in a request

MAYBE_STORED = {
    False: "nothing was changed",
    None: "it may have been carried out: ask again, with the same Idempotency-Key if there was one",
    True: "it was carried out",
}


class Refusal(Exception):
    """A request that the API itself refuses: its `kind` from the table, a sentence, and more fields of the answer."""

    def __init__(
        self,
        kind: str,
        detail: str,
        errors: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.kind, self.detail, self.errors = kind, detail, list(errors)
        self.headers, self.more = headers or {}, more
        super().__init__(detail)


def answer(error: Exception, environ: Mapping[str, Any]) -> bytes:
    """Set Bottle's response for `error` and return its body. Never raises."""
    if isinstance(error, Refusal):
        return write(error)
    for kind_of in type(error).__mro__:
        kind = KIND_OF_ERROR.get(kind_of)
        if kind is not None:
            return write(_foreseen(kind, error, environ))
    return write(_incident(error, environ))


def write(refusal: Refusal) -> bytes:
    """Set Bottle's response for a refusal and return its body."""
    body = body_of(refusal)
    return respond(body["status"], body, content_type=PROBLEM_TYPE, headers=refusal.headers)


def body_of(refusal: Refusal) -> dict[str, Any]:
    """Return the members of the problem."""
    status, title = KINDS[refusal.kind]
    body: dict[str, Any] = {
        "type": f"urn:duey:{refusal.kind}",
        "title": title,
        "status": status,
        "detail": _bounded(refusal.detail),
    }
    if refusal.errors:
        shown = refusal.errors[:ERRORS_SHOWN]
        body["errors"] = [{"path": path, "message": _bounded(message)} for path, message in shown]
    return body | refusal.more


def refused_fields(errors: Iterable[tuple[str, str]]) -> Refusal:
    """Return a 422 that lists each refused field. `errors`: at least one pair of path and sentence."""
    pairs = list(errors)
    detail = "; ".join(f"{path}: {message}" if path else message for path, message in pairs[:3])
    if len(pairs) > 3:
        detail += f"; and {len(pairs) - 3} more" if len(pairs) < ERRORS_SHOWN else "; and more"
    return Refusal("invalid", detail, pairs)


def _foreseen(kind: str, error: Exception, environ: Mapping[str, Any]) -> Refusal:
    refusal = Refusal(kind, str(error))
    if isinstance(error, errors.InvalidArguments):
        refusal.errors = [(each.path, each.message) for each in error.errors]
    elif isinstance(error, errors.UnserializableError):
        refusal.errors = [(error.path, error.problem)]
    elif isinstance(error, errors.BadSchedule):
        refusal.errors = [(SCHEDULE_FIELDS.get(error.field, error.field), error.message)]
    elif isinstance(error, (errors.UnknownTask, errors.UnknownSchedule)):
        refusal.more = {"nearest": list(error.nearest)}
    elif isinstance(error, errors.AmbiguousTask):
        refusal.errors = [("task", str(error))]
        refusal.more = {"nearest": list(error.qualnames)}
    elif isinstance(error, errors.StateConflict):
        refusal.more = {"state": error.state}
    elif isinstance(error, errors.UniqueConflict):
        refusal.more = {"holder": error.holder}
    elif isinstance(error, errors.TooManyPending):
        refusal.headers = {"Retry-After": retry_after(error.retry_after_s)}
    elif isinstance(error, errors.StorageUnavailable):
        refusal.headers = {"Retry-After": retry_after(error.retry_after_s)}
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            refusal.detail += f"; {MAYBE_STORED[error.stored]}"
            refusal.more = {"stored": error.stored}
    elif isinstance(error, AccessUnavailable):
        # The error's own message names a file, which only the operator may see.
        outages.error(error)
        refusal.detail = "tokens cannot be checked now, and nothing was done: try again, or tell the operator"
        refusal.headers = {"Retry-After": retry_after(errors.StorageUnavailable.retry_after_s)}
    return refusal


def _incident(error: Exception, environ: Mapping[str, Any]) -> Refusal:
    incident = secrets.token_hex(6)
    method, path = environ.get("REQUEST_METHOD"), environ.get("PATH_INFO")
    log.error("incident %s in %s %r", incident, method, path, exc_info=error)
    return Refusal(
        "incident",
        f"unexpected error: the operator finds it in the log as incident {incident}",
        incident=incident,
    )


def retry_after(seconds: float) -> str:
    """Return the value of the Retry-After header: whole seconds, at least 1."""
    return str(max(1, math.ceil(seconds)))


def _bounded(sentence: str) -> str:
    return sentence if len(sentence) <= DETAIL_CHARS else sentence[: DETAIL_CHARS - 1] + "…"
