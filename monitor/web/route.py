"""A route: a method and a path, what it requires, and its handler. Each page lists its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.view import Done, File, View

Handler = Callable[..., "View | Done | File"]  # (request, **names in the path)


@dataclass(frozen=True)
class Route:
    """A route. `path` is below the monitor, with names in Bottle's syntax: `/jobs/<id:path>/cancel`.

    `admin`: viewers are refused. `open_to_all`: no log-in is needed. `fresh` returns for a form whether the password
    must have been entered recently. Every GET also answers under `.json`.
    """

    method: str
    path: str
    handler: Handler
    admin: bool = False
    open_to_all: bool = False
    fresh: Callable[[Fields], bool] | None = None


def get(path: str, handler: Handler, **options: Any) -> Route:
    """Return a route for a page, which every logged-in user may see."""
    return Route("GET", path, handler, **options)


def post(path: str, handler: Handler, **options: Any) -> Route:
    """Return a route for an action, for admins only."""
    return Route("POST", path, handler, admin=True, **options)


class PageOfRoutes(Protocol):
    """The interface of a page."""

    def routes(self) -> list[Route]: ...
