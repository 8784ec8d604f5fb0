"""Endpoints, and openapi.json: the OpenAPI 3.1 description of the API.

An endpoint is one method on one path with its description. Each handler class of the API (jobs.py, steering.py, ...)
returns a list of them, from which the routes and the description are made, so that they cannot differ. openapi.json is
built once, when the API is assembled, and needs no token: its content is public.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from duey.api import views
from duey.api.answer import KINDS, PROBLEM_TYPE, encode, respond_bytes
from duey.api.requests import BODIES, NAME_PATTERN, Model
from duey.model.job import STATES

# These answer to any host name: probes use arbitrary names, and the answers are public.
ANY_HOST = ("/healthz", "/readyz")
Schema = Mapping[str, Any]  # JSON Schema 2020-12, as in OpenAPI 3.1


@dataclass(frozen=True)
class Answer:
    """A successful answer: a description, the schema of its JSON body, and its headers with their meaning."""

    description: str
    schema: Schema | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True)
class Body:
    """The body of a request."""

    schema: Schema
    required: bool = True


@dataclass(frozen=True)
class Endpoint:
    """`handler(environ, token, **names_in_path) -> body`. Without a scope the endpoint is open, and `token` is None."""

    method: str
    path: str  # such as /api/jobs/{id}/cancel
    handler: Callable[..., bytes]
    summary: str
    scope: str | None
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()  # status codes besides those that the scope, the body and the query imply
    query: Model | None = None
    headers: tuple[Mapping[str, Any], ...] = ()  # request headers, as openapi.json describes them
    body: Body | None = None
    of_tasks: bool = False  # a token that is limited to tasks is admitted, and the handler checks the task

    @property
    def rule(self) -> str:
        """The path in Bottle's syntax."""
        return self.path.replace("{", "<").replace("}", ">")

    @property
    def is_static(self) -> bool:
        return "{" not in self.path

    def statuses(self) -> list[int]:
        """Return all status codes that this endpoint can answer, successes first."""
        refused = {405, 500, *self.problems}
        if self.path not in ANY_HOST:
            refused |= {421}
        if self.scope:
            refused |= {401, 403, 503}
        if self.body:
            refused |= {400, 413, 415, 422}
        if self.query:
            refused |= {422}
        return [*self.answers, *sorted(refused - set(self.answers))]


VERSION = "1"  # of the API, not of Duey
ABOUT = (
    "Enqueue tasks, look up jobs, control queues and consumers. Every error is an RFC 9457 problem whose "
    "`detail` is one sentence. HEAD works wherever GET does; every other method, also OPTIONS, is answered 405. "
    "A request that is answered 202 is never lost, and one that is answered 4xx never runs. A 503 says whether the "
    "jobs may have been stored: repeat the request with the same Idempotency-Key."
)
MEANINGS = {
    400: "the request cannot be read, or its body is not JSON",
    401: "no token, or one that is not valid",
    403: "the token does not have the scope",
    404: "there is no such task, job, queue, schedule, consumer, incident or channel",
    405: "another method on this path, with Allow",
    409: "the state of the job, a name or a key does not allow it",
    413: "the body is too large",
    415: "the body is not declared as application/json",
    421: "the Host header names no host of `[web] allow_hosts`",
    422: "a value cannot be accepted; `errors` names each",
    429: "too many jobs wait",
    500: "an unexpected error",
    503: "the storage (or a consumer) is unavailable",
}
HEADERS_OF = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
PATH_PARAMETERS: dict[str, Mapping[str, Any]] = {
    "id": {"type": "string", "minLength": 1},
    "name": {"type": "string", "pattern": f"^{NAME_PATTERN}$"},
    "schedule": {"type": "string", "minLength": 1, "maxLength": 300},
}


class OpenApi:
    """The endpoint /api/openapi.json."""

    def __init__(self, base_url: str, title: str) -> None:
        self._base_url, self._title = base_url, title
        self._page = b""

    def describe(self, endpoints: Sequence[Endpoint]) -> None:
        """Build the page from all endpoints."""
        self._page = encode(document(endpoints, self._base_url, self._title))

    def show(self, environ: Mapping[str, Any], token: None) -> bytes:
        respond_bytes(200, "application/json")
        return self._page

    def endpoints(self) -> list[Endpoint]:
        answers = {200: Answer("this document", {"type": "object"})}
        return [Endpoint("GET", "/api/openapi.json", self.show, "This description", None, answers)]


def document(endpoints: Sequence[Endpoint], base_url: str, title: str) -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    used = sorted({status for endpoint in endpoints for status in endpoint.statuses() if status in MEANINGS})
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{title} API", "version": VERSION, "description": ABOUT},
        "servers": [{"url": base_url or "/"}],
        "paths": paths,
        "components": {
            "schemas": components(),
            "responses": {f"Problem{status}": _problem(status) for status in used},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def components() -> dict[str, Any]:
    """Return all named views."""
    return {
        **{model.name: model.schema for model in BODIES},
        **{name: view.schema for name, view in views.VIEWS.items()},
        "Receipt": views.object_of(id=views.TEXT, state={"enum": list(STATES)}, url=views.TEXT),
        "Problem": _problem_schema(),
    }


def _problem_schema() -> dict[str, Any]:
    problem = views.object_of(
        type={"enum": [f"urn:duey:{kind}" for kind in KINDS]},
        title=views.TEXT,
        status={"type": "integer"},
        detail={**views.TEXT, "description": "one sentence"},
    )
    problem["properties"] |= {
        "errors": {
            "type": "array",
            "items": views.object_of(path=views.TEXT, message=views.TEXT),
            "description": "the fields that were refused",
        },
        "nearest": {"type": "array", "items": views.TEXT, "description": "similar names"},
        "state": {**views.TEXT, "description": "the state of the job, which does not allow the request"},
        "holder": {**views.TEXT, "description": "the job that holds the unique key"},
        "stored": {
            "type": ["boolean", "null"],
            "description": "null: unknown, repeat the request with the same Idempotency-Key",
        },
        "problems": {"type": "array", "items": views.TEXT, "description": "why the service is not ready"},
        "warnings": {"type": "array", "items": views.TEXT},
        "incident": {**views.TEXT, "description": "id of the error in the log of the service"},
    }
    return problem


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", endpoint.path)
    in_path = [{"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name]} for name in names]
    parameters = [
        *in_path,
        *(_query(endpoint.query) if endpoint.query else ()),
        *({"in": "header", "required": False, **each} for each in endpoint.headers),
    ]
    responses = {
        str(status): _answer(endpoint.answers[status])
        if status in endpoint.answers
        else {"$ref": f"#/components/responses/Problem{status}"}
        for status in endpoint.statuses()
    }
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{re.sub(r'[^a-z]+', '_', endpoint.path).rstrip('_')}",
        "summary": endpoint.summary,
        "responses": responses,
    }
    if parameters:
        operation["parameters"] = parameters
    if endpoint.scope:
        operation["security"] = [{"token": []}]
        of_task = f", or `{endpoint.scope}:TASK` for the task" if endpoint.of_tasks else ""
        operation["description"] = f"Needs the scope `{endpoint.scope}`{of_task}."
    if endpoint.body:
        content = {"application/json": {"schema": endpoint.body.schema}}
        operation["requestBody"] = {"required": endpoint.body.required, "content": content}
    return operation


def _query(model: Model) -> Iterator[dict[str, Any]]:
    for name, schema in model.schema["properties"].items():
        shown = {key: each for key, each in schema.items() if key != "description"}
        if "enum" in shown:
            shown["enum"] = [*shown["enum"], ""]  # an empty value counts as not given
        yield {
            "name": name, "in": "query", "required": False, "description": schema["description"], "schema": shown,
            "allowEmptyValue": True,
        }  # fmt: skip


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in answer.headers.items()
        }
    if answer.schema is not None:
        described["content"] = {answer.content_type: {"schema": answer.schema}}
    return described


def _problem(status: int) -> dict[str, Any]:
    described = {
        "description": f"{HTTPStatus(status).phrase}: {MEANINGS[status]}",
        "content": {PROBLEM_TYPE: {"schema": views.ref("Problem")}},
    }
    if status in HEADERS_OF:
        described["headers"] = {name: {"required": True, "schema": {"type": "string"}} for name in HEADERS_OF[status]}
    return described
