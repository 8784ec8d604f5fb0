"""Stamps: a few facts, quickly asked, that tell whether a region could have changed since a browser last had it.

The minute is always among them, since filters and charts count from now; so what the facts do not cover (a mark made by
another web process, say) is seen within a minute. So is the role, since only an admin is offered verbs. A stamp of ""
vouches for nothing.
"""

from __future__ import annotations

from typing import Any

from duey.monitor.history import BooksUnavailable
from duey.monitor.web.request import Visit
from duey.monitor.web.services import House


def books_stamp(house: House, visit: Visit, *more: Any) -> str:
    """For what is made of the books alone, and of `more`."""
    try:
        kept = house.books.kept()
    except BooksUnavailable:
        return ""
    return repr((int(visit.now // 60), visit.is_admin, kept.recorded_at, kept.deleted, *more))


def live_stamp(house: House, visit: Visit, *more: Any) -> str:
    """For what is made of the queue as well: "" while something runs, for progress leaves no trace in these facts."""
    counts = house.control.counts()
    return "" if counts.running or counts.events else books_stamp(house, visit, counts, *more)
