"""The audit log: every change that an admin's token made, written to the audit after it was made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from duey.monitor.access import Token
from duey.monitor.access.audit import Audit

log = logging.getLogger(__name__)


class AuditLog:
    """Writes into the audit who did what from where."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def record(self, environ: Mapping[str, Any], token: Token, action: str, target: str, detail: str = "") -> None:
        """The action is done already, so an audit that fails is an error of the log, not of the caller."""
        try:
            self._audit.record(token.name, "api", environ.get("REMOTE_ADDR", ""), action, target, 1, detail)
        except Exception:
            log.exception("not in the audit: %s of %s by the token %s", action, target, token.name)
