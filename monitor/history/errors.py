"""The errors of the history.

They are subclasses of StorageUnavailable: the API answers 503 and the pages show the message. The work goes on, and
events wait in the queue's storage until the history can be used again. `tell` turns SQLite's message into one of them.
"""

from __future__ import annotations

from duey.errors import StorageUnavailable


class HistoryUnavailable(StorageUnavailable):
    """The history cannot be used now, and no event is lost. `reason` says what was found and what to do."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(f"the history {path} {reason}", stored=False)


class HistoryBroken(HistoryUnavailable):
    """The file is not a valid SQLite database. The recorder moves it away and creates a new one."""


class HistoryGone(HistoryUnavailable):
    """The file or its tables were removed. The next use creates them again."""


class HistoryTooNew(HistoryUnavailable):
    """The file was written by a newer version of Duey."""

    def __init__(self, path: str, found: int, known: int):
        self.found, self.known = found, known
        super().__init__(
            path,
            f"has schema {found}, but this version knows schemas up to {known}: start the newer version again, "
            "or name another file in [monitor] database",
        )


_BROKEN = "is not a valid SQLite file: it is moved aside and replaced by a new one at the next recording"
_GONE = "was removed while it was open: it is reopened"
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


def classify(found: str, busy_timeout_s: float) -> tuple[type[HistoryUnavailable], str]:
    """Return the class of the error and the second half of its message, for SQLite's message."""
    for words, kind, reason in _TROUBLES:
        if words in found:
            return kind, reason.format(wait=f"{busy_timeout_s:g} s")
    return HistoryUnavailable, f"failed ({found[:200]}): make sure that the file and its disk are intact"
