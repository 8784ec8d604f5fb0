"""ETags of regions, made from a few facts that are quick to read.

The minute is always included, because filters and charts count from now. A change that the facts do not cover, such
as a mark made by another web process, is therefore visible within a minute. The role is included, because only an
admin sees actions. The ETag "" means that the region must always be made.
"""

from __future__ import annotations

from typing import Any

from duey.monitor.history import HistoryUnavailable
from duey.monitor.web.request import Request
from duey.monitor.web.services import Services


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
