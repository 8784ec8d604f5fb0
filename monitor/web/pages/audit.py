"""The audit: who did what, when, from where, to how many. Read only; the database refuses to change a line."""

from __future__ import annotations

from duey.errors import BadRequest
from duey.monitor.web.request import Request
from duey.monitor.web.route import Route, get
from duey.monitor.web.services import Services
from duey.monitor.web.view import View

PAGE = 50


class AuditPage:
    """GET /audit."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [get("/audit", self.show)]

    def show(self, request: Request) -> View:
        query = request.query
        who, action, cursor = query.get("who")[:100], query.get("action")[:64], query.get("cursor")
        if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise BadRequest("the cursor is not one that this list gave: begin without it")
        lines = self._services.access.audit.page(int(cursor) if cursor else None, PAGE + 1, who or None, action or None)
        after = lines[PAGE - 1].id if len(lines) > PAGE else None
        asked = {"who": who, "action": action}
        data = {"filter": asked, "lines": lines[:PAGE], "next": str(after) if after is not None else None}
        more = {
            "older": {**asked, "cursor": str(after)} if after is not None else None,
            "newest": asked if cursor else None,
        }
        return View("audit", "Audit", data, more, "audit", ("list",))
