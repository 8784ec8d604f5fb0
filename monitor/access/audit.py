"""The audit log: who did what, when, from where, and to how many things.

Every action of a person or program adds an entry. Entries are read newest first and never changed: a trigger of the
database refuses it. They are deleted when they are older than `days`, or when there are MOST_ROWS newer ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from duey.monitor.access import security
from duey.monitor.access.database import Database
from duey.monitor.access.schema import AUDIT
from duey.monitor.access.text import bounded

WEB, API, OPERATOR = SOURCES = ("web", "api", "operator")
MAX_PAGE = 500
# Small enough that no log-in waits noticeably for the write lock.
PRUNE_BATCH = 5_000
PRUNE_EVERY_S = 3600.0
MOST_ROWS = 1_000_000  # so that endless failing log-ins do not fill the disk
WHO_LENGTH, ADDRESS_LENGTH, ACTION_LENGTH, TARGET_LENGTH, DETAIL_LENGTH = 100, 64, 64, 200, 2_000

# Actions that are also events of the security log.
EVENTS = {
    "add account": security.ACCOUNT_MADE,
    "change role": security.ACCOUNT_CHANGED,
    "set password": security.ACCOUNT_CHANGED,
    "turn on second factor": security.ACCOUNT_CHANGED,
    "turn off second factor": security.ACCOUNT_CHANGED,
    "reset second factor": security.ACCOUNT_CHANGED,
    "remove account": security.ACCOUNT_REMOVED,
    "create token": security.TOKEN_MADE,
    "rotate token": security.TOKEN_ROTATED,
    "revoke token": security.TOKEN_REVOKED,
}

L = AUDIT.c
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditEntry:
    """An entry. `at` is UTC epoch seconds. `count` is the number of things that the action changed."""

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
    """All entries. Every method but `note` may raise AccessUnavailable."""

    def __init__(self, database: Database, days: float, clock: Callable[[], float]) -> None:
        self._database, self._days, self._clock = database, days, clock
        self._pruned_at = 0.0

    def record(
        self, who: str, source: str, address: str, action: str, target: str, count: int = 1, detail: str = ""
    ) -> None:
        """Add an entry; texts that are too long are cut. Raises ValueError for an unknown source."""
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
        if action in EVENTS:
            security.note(EVENTS[action], address, who, source=source, target=target)
        self._prune_now_and_then()

    def note(
        self, who: str, source: str, address: str, action: str, target: str, count: int = 1, detail: str = ""
    ) -> None:
        """Record an action that is already done: a failure is logged and not raised."""
        try:
            self.record(who, source, address, action, target, count, detail)
        except Exception:
            log.exception("not written to the audit log: %s of %s by %s (%s)", action, target, who, source)

    def page(
        self, before_id: int | None = None, limit: int = 50, who: str | None = None, action: str | None = None
    ) -> tuple[AuditEntry, ...]:
        """Return entries, newest first, at most `limit` (1 to 500), with ids below `before_id`."""
        query = AUDIT.select().order_by(L.id.desc()).limit(max(1, min(limit, MAX_PAGE)))
        if before_id is not None:
            query = query.where(L.id < before_id)
        if who is not None:
            query = query.where(L.who == bounded(who, WHO_LENGTH))
        if action is not None:
            query = query.where(L.action == bounded(action, ACTION_LENGTH))
        with self._database.reading() as db:
            return tuple(AuditEntry(**row) for row in query.execute(db))

    def about(self, target: str, actions: Sequence[str], limit: int, detail: str = "") -> tuple[AuditEntry, ...]:
        """Return the newest entries about one thing with one of these actions. `detail`: only those with this one."""
        query = AUDIT.select().where((L.target == bounded(target, TARGET_LENGTH)) & L.action.in_(list(actions)))
        if detail:
            query = query.where(L.detail == detail)
        with self._database.reading() as db:
            return tuple(AuditEntry(**row) for row in query.order_by(L.id.desc()).limit(limit).execute(db))

    def walk(self, who: str | None = None, action: str | None = None, most: int | None = None) -> Iterator[AuditEntry]:
        """Yield all entries (or the newest `most`), newest first, read in pages."""
        before, left = None, MOST_ROWS if most is None else most
        while left > 0 and (page := self.page(before, min(left, MAX_PAGE), who, action)):
            yield from page
            before, left = page[-1].id, left - len(page)

    def prune(self) -> int:
        """Delete entries older than `days`, and all but the newest MOST_ROWS; return how many."""
        with self._database.reading() as db:
            # Times increase with the ids, unless the clock was set, so the search starts at the oldest entry.
            kept = AUDIT.select(L.id).where(L.at >= self._clock() - self._days * 86400).order_by(L.id).limit(1)
            newest: Any = AUDIT.select(L.id).order_by(L.id.desc()).limit(1).scalar(db) or 0
            oldest: Any = kept.scalar(db)
        oldest = max(newest + 1 if oldest is None else oldest, newest - MOST_ROWS + 1)
        dropped = 0
        while True:
            batch = AUDIT.select(L.id).where(L.id < oldest).order_by(L.id).limit(PRUNE_BATCH)
            with self._database.writing() as db:
                count = AUDIT.delete().where(L.id.in_(batch)).execute(db)
            dropped += count
            if count < PRUNE_BATCH:
                return dropped

    def _prune_now_and_then(self) -> None:
        now = self._clock()
        if not 0 <= now - self._pruned_at < PRUNE_EVERY_S:
            self._pruned_at = now
            self.prune()
