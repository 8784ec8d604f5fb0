"""The error groups: failed attempts by cause, the last seen first, with the marks of users.

A group is new if it was first seen after the last visit or after the start of the oldest running consumer. It has
regressed if it failed again after a user marked it as fixed. Muted groups stay muted; fixed ones open again.
"""

from __future__ import annotations

from typing import Any

from duey.monitor.history import ErrorGroup
from duey.monitor.web.display import charts
from duey.monitor.web.display.formats import number
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import Done, Route, View, get, post, unchanged
from duey.monitor.web.services import Services, history_etag
from duey.monitor.web.situation import asked

TABS = (("open", "Open"), ("muted", "Muted"), ("fixed", "Fixed"), ("all", "All"))
PAGE = 25
MARKS = {
    "mute": ("muted", "Muted: it is counted, but does not come back to this list."),
    "fix": ("fixed", "Marked as fixed: it comes back as regressed if it fails again."),
    "reopen": ("open", "Open again."),
}
BUTTONS = (  # (mark, label, states that offer it)
    ("fix", "Mark fixed", ("open", "muted")), ("mute", "Mute", ("open", "fixed")),
    ("reopen", "Reopen", ("muted", "fixed")),
)  # fmt: skip
ACTIONS = tuple(f"{mark} error" for mark in MARKS)
EMPTY = {
    "open": "Failed attempts, one line per cause. No cause is open: nothing has failed, or all are muted or fixed.",
    "muted": "Causes that somebody muted, because they are known and harmless.",
    "fixed": "Causes that somebody marked as fixed. One that fails again returns to the open ones, as regressed.",
    "all": "Failed attempts, one line per cause. Nothing has failed yet.",
}


class ErrorsPage:
    """GET /errors, POST /errors/FINGERPRINT/mute, /fix, /reopen."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._marks = 0  # number of marks made in this process

    def routes(self) -> list[Route]:
        return [get("/errors", self.show), post("/errors/<fingerprint>/<mark>", self.mark)]

    def show(self, request: Request) -> View:
        query, history = request.query, self._services.history
        seen, deployed = history.note_visit(request.who, not request.fragment), self._deployed()
        etag = history_etag(self._services, request, self._marks, seen, deployed) if request.fragment else ""
        if request.knows(etag):
            return unchanged("errors", etag)
        state = query.get("state") if query.get("state") in dict(TABS) else "open"
        task, text = query.get("task")[:200], query.get("q")[:200]
        page = history.error_groups(
            None if state == "all" else state, task or None, text or None, PAGE, query.get("cursor") or None
        )
        asked = {"state": state, "task": task, "q": text}
        data = {
            "filter": asked,
            "groups": page.groups,
            "next": page.next,
            "last_visit_at": seen,
            "last_start_at": deployed,
        }
        more = {
            "tabs": [
                (label, self._services.links.to("/errors", **{**asked, "state": name}), name == state)
                for name, label in TABS
            ],
            "rows": [self._row(request, each, seen, deployed) for each in page.groups],
            "marks": BUTTONS,
            "hint": EMPTY[state],
            "older": {**asked, "cursor": page.next} if page.next else None,
            "newest": asked if query.get("cursor") else None,
            "here": request.path,
        }
        return View("errors", "Errors", data, more, "errors", ("list",), etag=etag)

    def _deployed(self) -> float | None:
        workers = asked(self._services.control.workers) or ()
        return min((each.started_at for each in workers if each.alive), default=None)

    def _row(self, request: Request, group: ErrorGroup, seen: float | None, deployed: float | None) -> dict[str, Any]:
        tags = []
        if group.regressed_at is not None:
            tags.append("regressed")
        elif seen is not None and group.first_seen > seen:
            tags.append("new since your last visit")
        elif deployed is not None and group.first_seen > deployed:
            tags.append("new since the last start")
        label = f"{number(group.last_week)} in 7 days"
        return {
            "group": group,
            "tags": tags,
            "spark": charts.spark(group.sparkline, label=label, width=84),
            "runbook": self._services.control.runbook(group.qualname),
        }

    def mark(self, request: Request, fingerprint: str, mark: str) -> Done:
        if mark not in MARKS:
            raise Refusal(404, f"expected mute, fix or reopen, found {mark[:50]!r}")
        state, message = MARKS[mark]
        before = self._services.history.error_group(fingerprint)
        group = self._services.history.mark_group(fingerprint, state)
        self._marks += 1
        if group is None:
            raise Refusal(404, "no error group has this fingerprint (any more)")
        target = f"{group.type} in {group.task}"
        self._services.record(request, f"{mark} error", target, group.count, fingerprint)
        links, back = self._services.links, request.form.get("back")
        undo = next((each for each, (state, _) in MARKS.items() if before and before.state == state != group.state), "")
        to = back if links.own(back) else links.to("/errors")
        return Done(to, message, undo=links.error(fingerprint, undo) if undo else "")
