"""ETags: a few facts, quickly asked, that tell whether a region could have changed since a browser last had it.

The minute is always among them, since filters and charts count from now; so what the facts do not cover (a mark made by
another web process, say) is seen within a minute. So is the role, since only an admin is offered verbs. An etag of ""
vouches for nothing.
"""

from __future__ import annotations

from typing import Any

from duey.monitor.history import HistoryUnavailable
from duey.monitor.web.request import Request
from duey.monitor.web.services import Services


def history_etag(services: Services, request: Request, *more: Any) -> str:
    """For what is made of the history alone, and of `more`."""
    try:
        kept = services.history.kept()
    except HistoryUnavailable:
        return ""
    return repr((int(request.now // 60), request.is_admin, kept.recorded_at, kept.deleted, *more))


def live_etag(services: Services, request: Request, *more: Any) -> str:
    """For what is made of the queue as well: "" while something runs, for progress leaves no trace in these facts."""
    counts = services.control.counts()
    return "" if counts.running or counts.events else history_etag(services, request, counts, *more)
