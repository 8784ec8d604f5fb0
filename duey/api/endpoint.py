"""An endpoint: one method on one path, with all that a caller may know about it.

One table of endpoints makes both the routes and openapi.json, so that neither can say what the other does
not. Each noun of the API (jobs.py, tasks.py, ...) gives a list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from duey.api.query import Parameter

# Open under any name: probes call a machine by whatever name they have, and learn what every stranger may.
ANY_HOST = ("/healthz", "/readyz")
Schema = Mapping[str, Any]  # JSON Schema 2020-12, as OpenAPI 3.1 takes it


@dataclass(frozen=True)
class Answer:
    """A good answer: a sentence, the schema of its JSON body, and names of headers with what they mean."""

    description: str
    schema: Schema | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True)
class Body:
    """What a request carries."""

    schema: Schema
    required: bool = True


@dataclass(frozen=True)
class Endpoint:
    """`handler(environ, token, **names_in_path) -> body`. Without a scope it is open, its token None."""

    method: str
    path: str  # /api/jobs/{id}/cancel
    handler: Callable[..., bytes]
    summary: str
    scope: str | None
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()  # beyond those that follow from the scope, the body and the query
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()  # of the request
    body: Body | None = None

    @property
    def rule(self) -> str:
        """The path as Bottle writes it."""
        return self.path.replace("{", "<").replace("}", ">")

    @property
    def is_static(self) -> bool:
        return "{" not in self.path

    def statuses(self) -> list[int]:
        """Every status that a caller may meet here, the good ones first."""
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
