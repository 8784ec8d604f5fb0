"""The results of a page: a view to show, or what was done and where to go next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    """The end of an action: go to `to` (303) and show the message. `kind` NOTE: nothing was changed."""

    to: str
    said: str = ""
    kind: str = GOOD
