"""The audit: who did what, when, from where, to how many.

Order: a line is written for every action of a person or program, read newest first, never changed (a trigger
of the database refuses it), and dropped only when the newest `keep_rows` have pushed it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monitor.access.database import Database
from monitor.access.schema import AUDIT
from monitor.access.text import bounded

WEB, API, OPERATOR = SOURCES = ("web", "api", "operator")
MAX_PAGE = 500
# Few enough that no log-in waits noticeably for the write lock.
PRUNE_BATCH = 5_000
WHO_LENGTH, ADDRESS_LENGTH, ACTION_LENGTH, TARGET_LENGTH, DETAIL_LENGTH = 100, 64, 64, 200, 2_000

L = AUDIT.c


@dataclass(frozen=True)
class AuditEntry:
    """One line. `at` is UTC epoch seconds, `count` how many things the action touched."""

    id: int
    at: float
    who: str
    source: str
    address: str
    action: str
    target: str
    count: int
    detail: str


class Audit:
    """All lines. All methods raise AccessUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def record(
        self, who: str, source: str, address: str, action: str, target: str, count: int = 1, detail: str = ""
    ) -> None:
        """Add a line; too long texts are cut. Raises ValueError for another source."""
        if source not in SOURCES:
            raise ValueError(f"the audit's source: expected {', '.join(SOURCES)}, found {source!r}")
        with self._database.writing() as db:
            AUDIT.insert(
                at=self._clock(),
                who=bounded(who, WHO_LENGTH),
                source=source,
                address=bounded(address, ADDRESS_LENGTH),
                action=bounded(action, ACTION_LENGTH),
                target=bounded(target, TARGET_LENGTH),
                count=count,
                detail=bounded(detail, DETAIL_LENGTH),
            ).execute(db)

    def page(
        self, before_id: int | None = None, limit: int = 50, who: str | None = None, action: str | None = None
    ) -> tuple[AuditEntry, ...]:
        """Newest first, at most `limit` (1..500); the next page is before the last one's id."""
        query = AUDIT.select().order_by(L.id.desc()).limit(max(1, min(limit, MAX_PAGE)))
        if before_id is not None:
            query = query.where(L.id < before_id)
        if who is not None:
            query = query.where(L.who == bounded(who, WHO_LENGTH))
        if action is not None:
            query = query.where(L.action == bounded(action, ACTION_LENGTH))
        with self._database.reading() as db:
            return tuple(AuditEntry(**row) for row in query.execute(db))

    def prune(self, keep_rows: int) -> int:
        """Drop all but the newest `keep_rows`; returns how many."""
        with self._database.reading() as db:
            newest_to_drop: Any = AUDIT.select(L.id).order_by(L.id.desc()).offset(max(0, keep_rows)).limit(1).scalar(db)
        dropped = 0
        while newest_to_drop is not None:
            batch = AUDIT.select(L.id).where(L.id <= newest_to_drop).order_by(L.id).limit(PRUNE_BATCH)
            with self._database.writing() as db:
                count = AUDIT.delete().where(L.id.in_(batch)).execute(db)
            dropped += count
            if count < PRUNE_BATCH:
                break
        return dropped
