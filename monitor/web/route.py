"""A route: one method on one path, what it needs, and who answers. Each page lists its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from duey.monitor.web.form import Fields
from duey.monitor.web.view import Done, File, View

Handler = Callable[..., "View | Done | File"]  # (request, **names in the path)


@dataclass(frozen=True)
class Route:
    """`path` is below the monitor, with names as Bottle writes them: `/jobs/<id:path>/cancel`.

    `admin`: a viewer is refused. `open_to_all`: nobody need have logged in. `fresh` says of a form whether the password
    must have been entered a short while ago. Every GET also answers under `.json`.
    """

    method: str
    path: str
    handler: Handler
    admin: bool = False
    open_to_all: bool = False
    fresh: Callable[[Fields], bool] | None = None


def get(path: str, handler: Handler, **options: Any) -> Route:
    """A page: everybody who has logged in may see it."""
    return Route("GET", path, handler, **options)


def post(path: str, handler: Handler, **options: Any) -> Route:
    """An action: an admin's alone."""
    return Route("POST", path, handler, admin=True, **options)


class PageOfRoutes(Protocol):
    """What the site asks of a page."""

    def routes(self) -> list[Route]: ...
