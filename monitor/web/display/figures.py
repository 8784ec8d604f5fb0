"""Numbers for people: digits in groups, bytes in a fitting unit, limited counts as `10k+`."""

from __future__ import annotations

from typing import Any

THIN = "\u202f"  # narrow no-break space
UNITS = ("B", "KB", "MB", "GB", "TB")


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
    return f"{value.number // 1000}k+" if value.number >= 1000 else f"{value.number}+"


def size(value: float | None) -> str:
    """Return bytes as 12.3 MB."""
    if value is None:
        return "–"
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
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
