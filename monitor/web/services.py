"""What every page needs: control, history, access and links, ETags of regions, and a cache.

An ETag is made from a few facts that are quick to read. The minute is always included, because filters and charts
count from now. A change that the facts do not cover, such as a mark made by another web process, is therefore visible
within a minute. The role is included, because only an admin sees actions. The ETag "" means that the region must
always be made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from duey.alerts.service import AlertService
from duey.config import Settings
from duey.control.service import Control
from duey.monitor.access import Access
from duey.monitor.access.audit import WEB
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
    given_alerts: AlertService | None = None
    links: Links = field(init=False)
    zone: tzinfo = field(init=False)
    alerts: AlertService = field(init=False)

    def __post_init__(self) -> None:
        self.links = Links(self.settings.web.url_prefix)
        self.zone = ZoneInfo(self.settings.schedule.timezone)
        self.alerts = self.given_alerts or AlertService(self.history, self.settings, self.clock)

    def base_url(self, request: Request) -> str:
        """Return scheme and host of this service: those of `[web] public_url`, or else of the request."""
        host = f"{request.environ['wsgi.url_scheme']}://{request.environ.get('HTTP_HOST', '')}"
        return self.settings.web.public_url or host

    def elsewhere(self, is_known: bool) -> str:
        """Return what every page says where another history is recorded, '' where this one is. Only a person who has
        logged in learns names of hosts and files."""
        sentence = self.history.elsewhere
        if not sentence or not is_known:
            return sentence and "Another host keeps the history of this service: ask for its address."
        is_file = self.settings.auth.database.startswith("sqlite:")
        own = " Accounts and tokens of this web are its own, too." if is_file else ""
        return f"{sentence[:1].upper()}{sentence[1:]}.{own}"

    def record(
        self, request: Request, action: str, target: str, count: int = 1, detail: str = "", who: str | None = None
    ) -> None:
        """Add an action that is already done to the audit log. Never raises."""
        name = request.who if who is None else who
        self.access.audit.note(name, WEB, request.address, action, target, count, detail)

    def close(self) -> None:
        """Close this thread's connections to history and access. Called after each request."""
        self.history.close()
        self.access.close()


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
