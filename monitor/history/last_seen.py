"""Visits: when an account last looked at a page, so that a page can show what is new since then."""

from __future__ import annotations

from collections.abc import Callable

from duey.monitor.history import plain
from duey.monitor.history.database import Database
from duey.monitor.history.errors import HistoryUnavailable
from duey.monitor.history.schema import LAST_SEEN

V = LAST_SEEN.c
PAUSE_S = 30 * 60.0  # after such a pause a new visit begins
NOTED_EVERY_S = 30.0  # pages poll, so not every look is written


class LastSeen:
    """Notes visits. Never raises."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def note_visit(self, account: str) -> float | None:
        """Note a look; return when the previous visit ended, or None for the first visit."""
        now, account = self._clock(), plain.text(account, 500)
        try:
            with self._database.reading() as db:
                row = LAST_SEEN.select(V.seen_at, V.previous_at).where(V.account == account).tuples().first(db)
        except HistoryUnavailable:
            return None
        if row is None:
            self._database.write_if_free(LAST_SEEN.insert(account=account, seen_at=now).on_conflict_ignore())
            return None
        seen_at, previous_at = row
        if now - seen_at > PAUSE_S:
            previous_at = seen_at
        if now - seen_at > NOTED_EVERY_S:
            change = LAST_SEEN.update(seen_at=now, previous_at=previous_at)
            self._database.write_if_free(change.where((V.account == account) & (V.seen_at == seen_at)))
        return previous_at if previous_at is None else float(previous_at)
