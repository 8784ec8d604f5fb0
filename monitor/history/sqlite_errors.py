"""The errors of the history file: turns SQLite's message into a cause and a remedy."""

from __future__ import annotations

from duey.monitor.history.errors import HistoryBroken, HistoryGone, HistoryUnavailable

_BROKEN = "is not a sound SQLite file: it is moved aside and begun anew when something is recorded next"
_GONE = "was taken away while it was open: it is opened again"
_TROUBLES: tuple[tuple[str, type[HistoryUnavailable], str], ...] = (
    ("not a database", HistoryBroken, _BROKEN),
    ("malformed", HistoryBroken, _BROKEN),
    ("no such table", HistoryGone, _GONE),
    ("no such column", HistoryGone, _GONE),
    ("readonly database", HistoryUnavailable, "cannot be written: let this process write the file and its folder"),
    ("Read-only file system", HistoryUnavailable, "cannot be written: its disk is mounted read-only"),
    ("unable to open", HistoryUnavailable, "cannot be opened: let this process read and write the file and its folder"),
    ("Permission denied", HistoryUnavailable, "cannot be opened: let this process read and write the file and folder"),
    ("disk is full", HistoryUnavailable, "cannot grow because their disk is full: free some space"),
    ("No space left", HistoryUnavailable, "cannot grow because their disk is full: free some space"),
    ("disk I/O error", HistoryUnavailable, "cannot be read or written (disk I/O error): check the disk"),
    ("locked", HistoryUnavailable, "were locked for {wait}: end what holds them (a backup, an open sqlite3 shell)"),
)


def tell(found: str, busy_timeout_s: float) -> tuple[type[HistoryUnavailable], str]:
    """Return the class of the error and the second half of its message, for SQLite's message."""
    for words, kind, reason in _TROUBLES:
        if words in found:
            return kind, reason.format(wait=f"{busy_timeout_s:g} s")
    return HistoryUnavailable, f"failed ({found[:200]}): make sure that the file and its disk are sound"
