"""What went wrong with the file of the books: the cause behind SQLite's words, and what a person can do about it."""

from __future__ import annotations

from duey.monitor.history.errors import BooksBroken, BooksGone, BooksUnavailable

_BROKEN = "are not a sound SQLite file: they are moved aside and begun anew when they are next recorded"
_GONE = "were taken away while they were open: they are opened again"
_TROUBLES: tuple[tuple[str, type[BooksUnavailable], str], ...] = (
    ("not a database", BooksBroken, _BROKEN),
    ("malformed", BooksBroken, _BROKEN),
    ("no such table", BooksGone, _GONE),
    ("no such column", BooksGone, _GONE),
    ("readonly database", BooksUnavailable, "cannot be written: let this process write the file and its folder"),
    ("Read-only file system", BooksUnavailable, "cannot be written: their disk is mounted read-only"),
    ("unable to open", BooksUnavailable, "cannot be opened: let this process read and write the file and its folder"),
    ("Permission denied", BooksUnavailable, "cannot be opened: let this process read and write the file and folder"),
    ("disk is full", BooksUnavailable, "cannot grow because their disk is full: free some space"),
    ("No space left", BooksUnavailable, "cannot grow because their disk is full: free some space"),
    ("disk I/O error", BooksUnavailable, "cannot be read or written (disk I/O error): check the disk"),
    ("locked", BooksUnavailable, "were locked for {wait}: end what holds them (a backup, an open sqlite3 shell)"),
)


def tell(found: str, busy_timeout_s: float) -> tuple[type[BooksUnavailable], str]:
    """The class of the error, and the sentence's second half, for SQLite's own words."""
    for words, kind, reason in _TROUBLES:
        if words in found:
            return kind, reason.format(wait=f"{busy_timeout_s:g} s")
    return BooksUnavailable, f"failed ({found[:200]}): make sure that the file and its disk are sound"
