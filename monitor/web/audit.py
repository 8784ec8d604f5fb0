"""Writes the actions of people in the monitor to the audit log."""

from __future__ import annotations

import logging

from duey.monitor.access import Access
from duey.monitor.web.request import Request

log = logging.getLogger(__name__)


class AuditLog:
    """Adds entries to the audit log: who did what, from where."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def record(
        self, request: Request, action: str, target: str, count: int = 1, detail: str = "", who: str | None = None
    ) -> None:
        """Add an entry. The action is already done, so a failure is logged and not shown to the user."""
        name = request.who if who is None else who
        try:
            self._access.audit.record(name, "web", request.address, action, target, count, detail)
        except Exception:
            log.exception("not in the audit: %s of %s by %s", action, target, name)
