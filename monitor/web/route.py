"""The interface of a page: its routes, and what their handlers return: a view, a file, or where to go next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from duey.monitor.web.forms.fields import Fields

GOOD, NOTE, BAD = "good", "note", "bad"


@dataclass(frozen=True)
class View:
    """A page. `data` is for `.json` and the template, `more` for the template only (forms, charts).

    `name` is the template; `name_R` is that of a live region R. `section` is its place in the navigation. `etag`:
    facts that change if the wanted region changes; a request that has the same ETag gets no data.
    """

    name: str
    title: str
    data: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)
    section: str = ""
    regions: tuple[str, ...] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""


def question(
    title: str, sentences: Sequence[str], action: str, label: str, keep: tuple[str, str], section: str,
    danger: bool = True,
) -> View:  # fmt: skip
    """Return a page that asks before an action. Its form posts `sure` to `action`; `label` '' offers no button. `keep`
    is the text and the address of the way back."""
    more = {"sentences": sentences, "action": action, "label": label, "keep": keep, "danger": danger}
    return View("sure", title, {"sentences": sentences}, more, section)


def unchanged(name: str, etag: str) -> View:
    """Return the view for a request that has the current ETag of its region."""
    return View(name, "", {}, etag=etag)


@dataclass(frozen=True)
class File:
    """A file to save, with its name."""

    name: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Done:
    """The end of an action: go to `to` (303) and show the message. `kind` NOTE: nothing was changed. `undo`: the
    address of the action that takes it back, which the message offers."""

    to: str
    message: str = ""
    kind: str = GOOD
    undo: str = ""


Handler = Callable[..., "View | Done | File"]  # (request, **names in the path)


@dataclass(frozen=True)
class Route:
    """A route. `path` is below the monitor, with names in Bottle's syntax: `/jobs/<id:path>/cancel`.

    `admin`: viewers are refused. `open_to_all`: no log-in is needed. `fresh` returns for a form whether the password
    must have been entered recently. `enrols`: also for an account that must set up a second factor first. `reads`: what
    the handler will ask the queue, which is read together beforehand (storage.read_ahead). Every GET also answers under
    `.json`.
    """

    method: str
    path: str
    handler: Handler
    admin: bool = False
    open_to_all: bool = False
    fresh: Callable[[Fields], bool] | None = None
    enrols: bool = False
    reads: Sequence[Callable[[], object]] = ()


def get(path: str, handler: Handler, **options: Any) -> Route:
    """Return a route for a page, which every logged-in user may see."""
    return Route("GET", path, handler, **options)


def post(path: str, handler: Handler, **options: Any) -> Route:
    """Return a route for an action, for admins only."""
    return Route("POST", path, handler, admin=True, **options)


class PageOfRoutes(Protocol):
    """The interface of a page."""

    def routes(self) -> list[Route]: ...
