"""The audit log: who did what, when, from where, to how many things. Read only: the database refuses changes.

The CSV has the newest entries that match the filter; `duey audit` prints all entries.
"""

from __future__ import annotations

from duey.errors import BadRequest
from duey.monitor.access.export import as_csv
from duey.monitor.web.request import Request
from duey.monitor.web.route import File, Route, View, get
from duey.monitor.web.services import Services

PAGE = 50
CSV_LINES = 5_000  # takes about a quarter of a second


class AuditPage:
    """GET /audit, /audit.csv."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [get("/audit", self.show), get("/audit.csv", self.csv)]

    def csv(self, request: Request) -> File:
        who, action = _asked(request)
        lines = self._services.access.audit.walk(who or None, action or None, CSV_LINES)
        return File("audit.csv", "text/csv; charset=utf-8", "".join(as_csv(lines)).encode())

    def show(self, request: Request) -> View:
        (who, action), cursor = _asked(request), request.query.get("cursor")
        if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise BadRequest("the cursor is not valid for this list: start again without one")
        lines = self._services.access.audit.page(int(cursor) if cursor else None, PAGE + 1, who or None, action or None)
        after = lines[PAGE - 1].id if len(lines) > PAGE else None
        asked = {"who": who, "action": action}
        data = {"filter": asked, "lines": lines[:PAGE], "next": str(after) if after is not None else None}
        more = {
            "older": {**asked, "cursor": str(after)} if after is not None else None,
            "newest": asked if cursor else None,
        }
        return View("audit", "Audit", data, more, "audit", ("list",))


def _asked(request: Request) -> tuple[str, str]:
    """Return the filter: the account and the action."""
    return request.query.get("who")[:100], request.query.get("action")[:64]
