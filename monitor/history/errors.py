"""The named errors of the history: each is named by its cause and composes its own sentence.

They are StorageUnavailable, so that the API answers 503 and the pages say so, while the work itself goes on: what
happened waits in the queue's storage until the history is back.
"""

from __future__ import annotations

from duey.errors import StorageUnavailable


class HistoryUnavailable(StorageUnavailable):
    """The history cannot be used now; `reason` says what was found and what to do. Nothing is lost."""

    def __init__(self, path: str, reason: str):
        self.path, self.reason = path, reason
        super().__init__(f"the history {path} {reason}", stored=False)


class HistoryBroken(HistoryUnavailable):
    """The file is no sound SQLite database; the recorder moves it aside and begins anew."""


class HistoryGone(HistoryUnavailable):
    """The file, or what stood in it, was taken away; the next use makes it anew."""


class HistoryTooNew(HistoryUnavailable):
    """The file was written by a newer version of the code."""

    def __init__(self, path: str, found: int, known: int):
        self.found, self.known = found, known
        super().__init__(
            path,
            f"has schema {found}, but this version knows schemas up to {known}: start the newer version again, "
            "or name another file in [monitor] database",
        )
