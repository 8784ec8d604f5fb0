"""The services that every page needs: control, history, access, and links."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from zoneinfo import ZoneInfo

from duey.config import Settings
from duey.control.service import Control
from duey.monitor.access import Access
from duey.monitor.history import History
from duey.monitor.web.audit import AuditLog
from duey.monitor.web.links import Links


@dataclass
class Services:
    """Made once and shared by all threads. `clock` returns UTC epoch seconds."""

    control: Control
    access: Access
    history: History
    settings: Settings
    clock: Callable[[], float] = time.time
    links: Links = field(init=False)
    audit_log: AuditLog = field(init=False)
    zone: tzinfo = field(init=False)

    def __post_init__(self) -> None:
        self.links = Links(self.settings.web.url_prefix)
        self.audit_log = AuditLog(self.access)
        self.zone = ZoneInfo(self.settings.schedule.timezone)

    def close(self) -> None:
        """Close this thread's connections to history and access. Called after each request."""
        self.history.close()
        self.access.close()
