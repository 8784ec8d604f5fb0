"""Templates into pages: Bottle's SimpleTemplate, escaped by default, with the same few words in every template.

A page is `NAME.html` within `layout.html`; a live region of it is `NAME_REGION.html`, included by the page and
answered alone for `?fragment=REGION`. All templates are compiled when the site is made, so that a broken one stops
the start. `{{!...}}` is for what these words return (Html), never for data; a test holds that.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from bottle import SimpleTemplate

from duey.monitor.web import charts, figures, text, times
from duey.monitor.web.request import Request
from duey.monitor.web.text import Html, inert
from duey.monitor.web.view import View
from duey.monitor.web.why import held

FOLDER = Path(__file__).parent / "templates"
LIVE_STATES = ("scheduled", "queued", "blocked", "running", "retrying")


class Template(SimpleTemplate):
    """One template. Indentation of the source is dropped: it weighs, and says nothing to a browser."""

    settings = {"escape_func": inert}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        source = Path(self.filename).read_text(encoding="utf-8")
        self.source = "\n".join(line.strip() if line.strip() else "" for line in source.splitlines()) + "\n"


@functools.cache
def compiled() -> dict[str, Template]:
    """Every template by its name, compiled once in a process."""
    names = [file.stem for file in sorted(FOLDER.glob("*.html"))]
    templates = {name: Template(name=f"{name}.html", lookup=[str(FOLDER)]) for name in names}
    for template in templates.values():
        assert template.co  # compiled now, or the start fails
    return templates


class Renderer:
    """All templates, and the words that they share."""

    def __init__(self, words: dict[str, Any], name: str) -> None:
        self._frame = {"name": name}
        self._words = {
            "clip": text.clip,
            "one_line": text.one_line,
            "as_json": text.as_json,
            "duration": times.duration,
            "span": times.span,
            "number": figures.number,
            "count": figures.count,
            "size": figures.size,
            "percent": figures.percent,
            "plural": figures.plural,
            "charts": charts,
            "state": state,
            "held": held,
            "progress_of": progress_of,
            **words,
        }
        self._templates = compiled()

    def page(self, view: View, request: Request, **frame: Any) -> str:
        """The whole page. `frame` is what the layout needs: one name, so that no loop of a page can hide it."""
        frame = {**self._frame, "title": view.title, "section": view.section, **frame}
        return self._render(view.name, view, request, {"frame": frame})

    def region(self, view: View, request: Request, region: str) -> str:
        """One live region of it."""
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
    """A state as a word with its mark: shape and colour come from the stylesheet, the word is always there."""
    return Html(f'<span class="state {inert(name)}">{inert(name)}</span>')


def progress_of(progress: dict[str, Any]) -> Html:
    """How far a running job says that it is, as a bar and in words."""
    done, total, note = progress.get("done"), progress.get("total"), text.one_line(str(progress.get("note") or ""), 80)
    if isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0:
        said = f"{figures.number(done)} of {figures.number(total)}"
        bar = charts.meter(done, total, said)
        return Html(f"{bar}{inert(figures.percent(done, total))} · {inert(said)} {inert(note)}")
    return Html(inert(f"{figures.number(done) if isinstance(done, (int, float)) else ''} {note}".strip()))
