"""Numbers as people read them: thin separators, bytes in a fitting unit, counts that know that they are capped."""

from __future__ import annotations

from typing import Any

THIN = "\u202f"  # narrow no-break space
UNITS = ("B", "KB", "MB", "GB", "TB")


def number(value: float | None) -> str:
    """12 345; fractions keep what matters of them."""
    if value is None:
        return "–"
    if value == int(value):
        return f"{int(value):,}".replace(",", THIN)
    return f"{value:,.2f}".replace(",", THIN) if abs(value) < 10 else f"{value:,.1f}".replace(",", THIN)


def count(value: Any) -> str:
    """A number, or a duey.monitor.history Count: `10k+` where counting stopped."""
    if isinstance(value, (int, float)):
        return number(value)
    if not value.capped:
        return number(value.number)
    return f"{value.number // 1000}k+" if value.number >= 1000 else f"{value.number}+"


def size(value: float | None) -> str:
    """12.3 MB"""
    if value is None:
        return "–"
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def percent(part: float, whole: float) -> str:
    """2.4 %, and never "0 %" for what is not nothing."""
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    return "<0.1 %" if share < 0.1 else f"{share:.1f} %" if share < 10 else f"{share:.0f} %"


def plural(n: float, one: str, many: str | None = None) -> str:
    """1 job, 2 jobs"""
    return f"{number(n)} {one if n == 1 else many or one + 's'}"
