"""The errors of the history.

They are subclasses of StorageUnavailable: the API answers 503 and the pages show the message. The work goes on, and
events wait in the queue's storage until the history can be used again.
"""

from __future__ import annotations

from duey.errors import StorageUnavailable


class HistoryUnavailable(StorageUnavailable):
    """The history cannot be used now, and no event is lost. `reason` says what was found and what to do."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(f"the history {path} {reason}", stored=False)


class HistoryBroken(HistoryUnavailable):
    """The file is not a sound SQLite database. The recorder moves it away and creates a new one."""


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
