"""What every page needs: control, history, access and links, the audit log, ETags of regions, and a cache.

An ETag is made from a few facts that are quick to read. The minute is always included, because filters and charts
count from now. A change that the facts do not cover, such as a mark made by another web process, is therefore visible
within a minute. The role is included, because only an admin sees actions. The ETag "" means that the region must
always be made.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from duey.config import Settings
from duey.control.service import Control
from duey.monitor.access import Access
from duey.monitor.history import History, HistoryUnavailable
from duey.monitor.web.links import Links
from duey.monitor.web.request import Request


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


def history_etag(services: Services, request: Request, *more: Any) -> str:
    """Return the ETag of a region made from the history, and from `more`."""
    try:
        kept = services.history.kept()
    except HistoryUnavailable:
        return ""
    return repr((int(request.now // 60), request.is_admin, kept.recorded_at, kept.deleted, *more))


def live_etag(services: Services, request: Request, *more: Any) -> str:
    """Return the ETag of a region made from the queue, too. It is "" while a job runs: facts do not cover progress."""
    counts = services.control.counts()
    return "" if counts.running or counts.events else history_etag(services, request, counts, *more)


T = TypeVar("T")


class Recent(Generic[T]):
    """Caches a slow answer for all visitors: `get` returns that of `ask`, at most `seconds` old. No error is kept."""

    def __init__(self, ask: Callable[[], T], seconds: float, clock: Callable[[], float]) -> None:
        self._ask, self._seconds, self._clock = ask, seconds, clock
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def get(self) -> T:
        now = self._clock()
        kept = self._kept
        # A negative age means that the clock was set back.
        if kept is not None and 0 <= now - kept[0] < self._seconds:
            return kept[1]
        with self._lock:
            answer = self._ask()
            self._kept = (now, answer)
            return answer
