"""An endpoint: one method on one path, and its description for callers.

The routes and openapi.json are made from the same endpoints, so that they cannot differ. Each handler class of
the API (jobs.py, tasks.py, ...) returns a list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from duey.api.requests import Model

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
