"""Numbers and times for people: digits in groups, bytes in a fitting unit, `<time datetime title>3 min ago</time>`.

The words of a time are relative to the time of the answer. duey.js updates them by the same rules (`ago`). Beside them
stands the time of day (`data-clock`, shown by the stylesheet), which no rounding makes vague. All times are in the zone
of `[schedule] timezone`, or in that of the browser, if it was chosen at the foot of a page.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone, tzinfo
from typing import Any

from duey.monitor.web.display.text import Html

THIN = "\u202f"  # narrow no-break space
UNUSUAL = 1.5  # times the p95
BYTES = ("B", "KB", "MB", "GB", "TB")


def number(value: float | None) -> str:
    """Return 12 345, with two decimals below 10 and one above if it is not an integer."""
    if value is None:
        return "–"
    if value == int(value):
        return f"{int(value):,}".replace(",", THIN)
    return f"{value:,.2f}".replace(",", THIN) if abs(value) < 10 else f"{value:,.1f}".replace(",", THIN)


def count(value: Any) -> str:
    """Return a number, or a duey.monitor.history Count, as `10k+` if it is capped."""
    if isinstance(value, (int, float)):
        return number(value)
    if not value.capped:
        return number(value.number)
    if not value.number:
        return "?"  # the search ended before it found one
    return f"{value.number // 1000}k+" if value.number >= 1000 else f"{value.number}+"


def size(value: float | None) -> str:
    """Return bytes as 12.3 MB."""
    if value is None:
        return "–"
    for unit in BYTES:
        if value < 1000 or unit == BYTES[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def percent(part: float, whole: float) -> str:
    """Return a share as 2.4 %, and never "0 %" if it is not 0."""
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    return "<0.1 %" if share < 0.1 else f"{share:.1f} %" if share < 10 else f"{share:.0f} %"


def plural(n: float, one: str, many: str | None = None) -> str:
    """Return 1 job, 2 jobs."""
    return f"{number(n)} {one if n == 1 else many or one + 's'}"


MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
UNITS = ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min"), (1, "s"))
NO_CALENDAR = "a time outside the calendar"


def ago(seconds: float) -> str:
    """Return how long before now, or (negative) after it: "3 min ago", "in 2 h", "now"."""
    distance = abs(seconds)
    for size, unit in UNITS:
        if distance >= size:
            length = f"{int(distance // size)} {unit}"
            return f"{length} ago" if seconds > 0 else f"in {length}"
    return "now"


def span(seconds: float) -> str:
    """Return a length of time in a fitting unit, as an integer: "6 min"."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def duration(ms: float | None) -> str:
    """Return a measured duration: "0.4 ms", "85 ms", "3.2 s", "42 s", "4 min", "2.5 h"."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{ms:.1f} ms" if 0 < ms < 9.95 else f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * MINUTE_S:
        return f"{seconds / MINUTE_S:.0f} min"
    if seconds < 36 * HOUR_S:
        return f"{seconds / HOUR_S:.1f} h"
    return f"{seconds / DAY_S:.1f} d"


def rough(ratio: float) -> str:
    """Return 4.1, 43, 430: rounded as a person would, and the same at most polls."""
    if ratio < 10:
        return f"{ratio:.1f}"
    size = 10 ** (len(str(int(ratio))) - 2)
    return number(int(ratio / size) * size)


def times_usual(value: float, p95: float | None) -> str:
    """Return how many times its p95 a value is, '' if that is not unusual or the p95 is not known."""
    return rough(value / p95) if p95 and value >= UNUSUAL * p95 else ""


def read_local(text: str, zone: tzinfo) -> float:
    """Return the instant of a time such as 2030-01-31T14:00 in a zone; ValueError has the message."""
    # A browser sends tenths of a second as `.5`, which Python 3.10 cannot read.
    full = re.sub(r"\.(\d{1,2})(?!\d)", lambda match: f".{match[1]:0<3}", text.replace("Z", "+00:00"))
    try:
        moment = datetime.fromisoformat(full)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"expected a time such as 2030-01-31T14:00, found {text[:60]!r}") from None


class Times:
    """Formats times (UTC epoch seconds) for one answer, in one zone."""

    def __init__(self, now: float, zone: tzinfo) -> None:
        self.now, self.zone = now, zone

    @property
    def machine(self) -> str:
        """Return now in RFC 3339."""
        return rfc3339(self.now) or ""

    def when(self, at: float | None, kind: str = "") -> Html:
        """Return a relative time. `kind` "run" counts up from `at`, for something that is still running."""
        if at is None:
            return Html("–")
        exact = self.exact(at)
        machine = rfc3339(at)
        if machine is None:
            return Html(NO_CALENDAR)
        if kind == "run":
            return Html(f'<time datetime="{machine}" title="{exact}" data-kind="run">{span(self.now - at)}</time>')
        text = ago(self.now - at)  # the clock time stands behind it, by the stylesheet
        return Html(f'<time datetime="{machine}" title="{exact}" data-clock="{self.clock(at)}">{text}</time>')

    @property
    def zone_name(self) -> str:
        """Return the zone's name, such as Europe/Zagreb."""
        return str(getattr(self.zone, "key", self.zone))

    @property
    def zone_end(self) -> str:
        """Return what a time of now ends with, such as CET."""
        moment = self.local(self.now)
        return "" if moment is None else moment.strftime("%Z")

    def running(self, at: float | None) -> Html:
        """Return how long something has been running."""
        return self.when(at, "run")

    def exact(self, at: float) -> str:
        """Return 2030-01-31 14:02:11 CET."""
        moment = self.local(at)
        return NO_CALENDAR if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S %Z")

    def clock(self, at: float, zone: str = "") -> str:
        """Return 14:02, with the day if it is not today. `zone` " %Z" adds the zone."""
        moment, today = self.local(at), self.local(self.now)
        if moment is None or today is None:
            return NO_CALENDAR
        if moment.date() == today.date():
            return moment.strftime(f"%H:%M{zone}")
        return moment.strftime(f"%d %b %H:%M{zone}" if moment.year == today.year else f"%Y-%m-%d %H:%M{zone}")

    def second(self, at: float) -> str:
        """Return 14:02:11.250, for lines of a log."""
        moment = self.local(at)
        return NO_CALENDAR if moment is None else f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"

    def local(self, at: float) -> datetime | None:
        try:
            return datetime.fromtimestamp(at, self.zone)
        except (ValueError, OverflowError, OSError):
            return None


def rfc3339(at: float | None) -> str | None:
    """Return 2030-01-31T13:02:11Z, or None if no date can represent it."""
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return None
