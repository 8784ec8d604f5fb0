"""What a page answers with: a view to look at, or what was done and where to go now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GOOD, NOTE, BAD = "good", "note", "bad"


@dataclass(frozen=True)
class View:
    """A page. `data` is what `.json` gives and the template shows; `more` is for the template alone (forms, charts).

    `name` is the template; a live region R of it is the template `name_R`. `section` is its place in the navigation.
    `etag`: facts that are the same as long as the region that was asked for is; a request that knows it gets no data.
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


def unchanged(name: str, etag: str) -> View:
    """The view of a page for a request that knows the stamp of the region that it asks for."""
    return View(name, "", {}, etag=etag)


@dataclass(frozen=True)
class File:
    """A file to keep, under this name."""

    name: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Done:
    """An action's end: go to `to` (303) and say this there. `kind` NOTE: nothing was changed, and why."""

    to: str
    said: str = ""
    kind: str = GOOD
