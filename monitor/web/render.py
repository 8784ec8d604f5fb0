"""Renders templates: Bottle's SimpleTemplate, escaped by default, with the same functions in every template.

A page is `NAME.html` within `layout.html`. A live region of it is `NAME_REGION.html`, which the page includes, and
which is returned alone for `?fragment=REGION`. All templates are compiled when the site is made, so that a broken
one stops the start. `{{!...}}` is only for results of these functions (Html), never for data; a test checks it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from bottle import SimpleTemplate

from duey.monitor.web.display import charts, formats, text
from duey.monitor.web.display.text import Html, inert
from duey.monitor.web.display.why import held
from duey.monitor.web.request import Request
from duey.monitor.web.route import View

FOLDER = Path(__file__).parent / "templates"


class Template(SimpleTemplate):
    """A template. Indentation of the source is removed, because a browser does not need it."""

    settings = {"escape_func": inert}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        source = Path(self.filename).read_text(encoding="utf-8")
        self.source = "\n".join(line.strip() if line.strip() else "" for line in source.splitlines()) + "\n"


@functools.cache
def compiled() -> dict[str, Template]:
    """Return every template by its name, compiled once in a process."""
    names = [file.stem for file in sorted(FOLDER.glob("*.html"))]
    templates = {name: Template(name=f"{name}.html", lookup=[str(FOLDER)]) for name in names}
    for template in templates.values():
        assert template.co  # compile now, so that a broken template stops the start
    return templates


class Renderer:
    """All templates, and the functions that they share."""

    def __init__(self, words: dict[str, Any], name: str) -> None:
        self._frame = {"name": name}
        self._words = {
            "clip": text.clip,
            "one_line": text.one_line,
            "as_json": text.as_json,
            "duration": formats.duration,
            "span": formats.span,
            "number": formats.number,
            "count": formats.count,
            "size": formats.size,
            "percent": formats.percent,
            "plural": formats.plural,
            "charts": charts,
            "state": state,
            "held": held,
            "progress_of": progress_of,
            **words,
        }
        self._templates = compiled()

    def page(self, view: View, request: Request, **frame: Any) -> str:
        """Return a whole page. `frame` has the layout's values under one name, which no loop of a page hides."""
        frame = {**self._frame, "title": view.title, "section": view.section, **frame}
        return self._render(view.name, view, request, {"frame": frame})

    def file(self, view: View, request: Request) -> str:
        """Return a template that is a whole file of its own, without the layout."""
        return self._render(view.name, view, request, {})

    def region(self, view: View, request: Request, region: str) -> str:
        """Return one live region of a page."""
        return self._render(f"{view.name}_{region}", view, request, {})

    def _render(self, name: str, view: View, request: Request, frame: dict[str, Any]) -> str:
        words = {
            **self._words,
            "request": request,
            "when": request.times.when,
            "running": request.times.running,
            "exact": request.times.exact,
            "clock": request.times.clock,
            "title": view.title,
        }
        return str(self._templates[name].render({**words, **view.data, **view.more, **frame}))


def state(name: str) -> Html:
    """Return a state as a word with a mark. The stylesheet sets the mark's shape and colour."""
    return Html(f'<span class="state {inert(name)}">{inert(name)}</span>')


def progress_of(progress: dict[str, Any]) -> Html:
    """Return the reported progress of a running job, as a bar and as text."""
    done, total, note = progress.get("done"), progress.get("total"), text.one_line(str(progress.get("note") or ""), 80)
    if isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0:
        label = f"{formats.number(done)} of {formats.number(total)}"
        bar = charts.meter(done, total, label)
        return Html(f"{bar}{inert(formats.percent(done, total))} · {inert(label)} {inert(note)}")
    return Html(inert(f"{formats.number(done) if isinstance(done, (int, float)) else ''} {note}".strip()))
