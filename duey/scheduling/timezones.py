"""Time zones by their IANA names: instants as local times, and the hours in which clocks are set."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta, timezone
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from duey.errors import Misconfigured

NAME_CHARS = 64  # longer than any name


def zone(name: Any) -> zoneinfo.ZoneInfo:
    """The zone of a name. Raises Misconfigured, with the nearest name."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (LookupError, ValueError, OSError, TypeError, AttributeError):  # OSError: "Europe" is a folder of zone files
        near = get_close_matches(str(name)[:NAME_CHARS], known_zones(), n=1)
        hint = f"did you mean {near[0]}?" if near else "use a name such as Europe/Zagreb or UTC"
        raise Misconfigured(f"there is no time zone {name!r:.66}: {hint}") from None


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    """Every name. Cached, because finding them reads hundreds of files."""
    return frozenset(zoneinfo.available_timezones())


def span(since: float, until: float, tz: str) -> str:
    """Two instants as `02:00-02:40 (Europe/Zagreb)`, with their dates if these differ."""
    a, b = (datetime.fromtimestamp(instant, zone(tz)) for instant in (since, until))
    if a.date() == b.date():
        text = f"{a:%H:%M}-{b:%H:%M}" if until - since >= 60 else f"{a:%H:%M:%S}-{b:%H:%M:%S}"
    else:
        text = f"{a:%Y-%m-%d %H:%M} - {b:%Y-%m-%d %H:%M}"
    return f"{text} ({tz})"


def moment(instant: float, now: float, tz: str) -> str:
    """An instant as `13:40 (Europe/Zagreb)`, with its date if that is not today."""
    at, today = (datetime.fromtimestamp(each, zone(tz)) for each in (instant, now))
    return f"{at:%H:%M} ({tz})" if at.date() == today.date() else f"{at:%Y-%m-%d %H:%M} ({tz})"


# When clocks are set. These functions take and return datetimes with a zone.


def is_skipped(moment: datetime) -> bool:
    """Whether the clock on the wall never shows this moment."""
    return datetime.fromtimestamp(moment.timestamp(), moment.tzinfo).replace(tzinfo=None) != moment.replace(tzinfo=None)


def is_repeated(moment: datetime) -> bool:
    """Whether the clock on the wall shows this moment twice."""
    return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset() and not is_skipped(moment)


def after_the_gap(moment: datetime) -> datetime:
    """The first moment, to the minute, that the clock shows after a skipped one."""
    while is_skipped(moment):
        moment += timedelta(minutes=1)
    return moment


def second_pass(moment: datetime) -> datetime:
    """One second before the clock shows a repeated time again, with `fold` 1."""
    moment = moment.replace(second=0, microsecond=0, fold=0)
    while is_repeated(moment - timedelta(minutes=1)):
        moment -= timedelta(minutes=1)
    return (moment - timedelta(seconds=1)).replace(fold=1)


def day_of(instant: Any) -> str:
    """The day of an instant, or what else was given."""
    try:
        return datetime.fromtimestamp(instant, timezone.utc).date().isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return repr(instant)
