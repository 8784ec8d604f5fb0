"""The audit log: records every change that is made with an admin's token, after it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duey.monitor.access import Token
from duey.monitor.access.audit import API, Audit


class AuditLog:
    """Records who changed what, and from which address."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def record(self, environ: Mapping[str, Any], token: Token, action: str, target: str, detail: str = "") -> None:
        """Record one action that is already done. Never raises."""
        self._audit.note(token.name, API, environ.get("REMOTE_ADDR", ""), action, target, 1, detail)
