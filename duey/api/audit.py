"""The audit log: records every change that is made with an admin's token, after it is made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from duey.monitor.access import Token
from duey.monitor.access.audit import Audit

log = logging.getLogger(__name__)


class AuditLog:
    """Records who changed what, and from which address."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def record(self, environ: Mapping[str, Any], token: Token, action: str, target: str, detail: str = "") -> None:
        """Record one action. It has already been carried out, so a failure is logged and not raised."""
        try:
            self._audit.record(token.name, "api", environ.get("REMOTE_ADDR", ""), action, target, 1, detail)
        except Exception:
            log.exception("not in the audit: %s of %s by the token %s", action, target, token.name)
