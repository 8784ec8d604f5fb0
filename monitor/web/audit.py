"""The audit log: every action of a person in the monitor, written to the audit after it was done."""

from __future__ import annotations

import logging

from duey.monitor.access import Access
from duey.monitor.web.request import Request

log = logging.getLogger(__name__)


class AuditLog:
    """Writes into the audit who did what from where."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def record(
        self, request: Request, action: str, target: str, count: int = 1, detail: str = "", who: str | None = None
    ) -> None:
        """The action is done already, so an audit that fails is an error of the log, not of the visitor."""
        name = request.who if who is None else who
        try:
            self._access.audit.record(name, "web", request.address, action, target, count, detail)
        except Exception:
            log.exception("not in the audit: %s of %s by %s", action, target, name)
