"""Sessions: browsers that have logged in.

A session starts after a log-in and is found by its cookie's value. Each request extends it, unless a page only
polls, but never beyond `days` from its start. The new end is written at most once a minute. A session ends by
log-out, a new password, removal of the account, or time. Important actions need the password again, unless it was
entered within `FRESH_S`. Only the SHA-256 of the cookie's value is stored.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import Expression, Select, fn

from duey.monitor.access.accounts import PUBLIC, Account
from duey.monitor.access.database import Database
from duey.monitor.access.errors import AccountChanged
from duey.monitor.access.schema import ACCOUNTS, SESSIONS
from duey.monitor.access.text import bounded

COOKIE_BYTES = 32
AGENT_LENGTH, ADDRESS_LENGTH = 200, 64
TOUCH_EVERY_S = 60.0
FRESH_S = 10 * 60.0

A, S = ACCOUNTS.c, SESSIONS.c
OWN = (S.id, S.created_at, S.expires_at, S.last_seen_at, S.address, S.agent, S.confirmed_at)


@dataclass(frozen=True)
class Session:
    """A logged-in browser. `account` has its current role. Times are UTC epoch seconds."""

    id: int
    account: Account
    created_at: float
    expires_at: float
    last_seen_at: float
    address: str
    agent: str
    confirmed_at: float | None = None  # when the password was entered again

    def is_fresh(self, now: float) -> bool:
        """Return whether the password was entered within `FRESH_S`."""
        return 0 <= now - (self.confirmed_at or self.created_at) < FRESH_S


class Sessions:
    """All sessions. One ends `hours` after its last use, and after `days` at most. Methods raise AccessUnavailable."""

    def __init__(self, database: Database, hours: float, days: float, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        self._idle_s, self._longest_s = hours * 3600, days * 86400

    def start(self, account: Account, address: str, agent: str) -> str:
        """Start a session; return the cookie's value (43 characters), which is not stored. Expired ones are deleted.

        Raises AccountChanged if the account was removed or its password changed since it was authenticated.
        """
        cookie, now = secrets.token_urlsafe(COOKIE_BYTES), self._clock()
        with self._database.writing() as db:
            SESSIONS.delete().where(S.expires_at <= now).execute(db)
            # A new password deletes all sessions. A log-in with the old password must not add one afterwards.
            unchanged = (A.id == account.id) & (A.password_version == account.password_version)
            if not ACCOUNTS.select(A.id).where(unchanged).exists(db):
                raise AccountChanged(account.name)
            SESSIONS.insert(
                digest=_digest(cookie),
                account_id=account.id,
                created_at=now,
                expires_at=now + min(self._idle_s, self._longest_s),
                last_seen_at=now,
                address=bounded(address, ADDRESS_LENGTH),
                agent=bounded(agent, AGENT_LENGTH),
            ).execute(db)
        return cookie

    def find(self, cookie: str, is_use: bool = True) -> Session | None:
        """Return the session of a cookie, or None if there is none or it has ended. `is_use` extends it."""
        now = self._clock()
        counts = (S.expires_at > now) & (S.created_at > now - self._longest_s)
        with self._database.reading() as db:
            session = next(_sessions(db, (S.digest == _digest(cookie)) & counts), None)
        if session is not None and is_use and now - session.last_seen_at >= TOUCH_EVERY_S:
            ends_at = min(now + self._idle_s, session.created_at + self._longest_s)
            touched = SESSIONS.update(last_seen_at=now, expires_at=ends_at)
            # A page must open even while a backup holds the write lock.
            self._database.write_if_free(touched.where(S.id == session.id))
        return session

    def confirm(self, session: Session) -> None:
        """Note that the password was entered again."""
        with self._database.writing() as db:
            SESSIONS.update(confirmed_at=self._clock()).where(S.id == session.id).execute(db)

    def end(self, cookie: str) -> None:
        """Log out. Does nothing if the session has ended."""
        with self._database.writing() as db:
            SESSIONS.delete().where(S.digest == _digest(cookie)).execute(db)

    def end_one(self, account: Account, session_id: int) -> bool:
        """End one session of the account; return False if it has none with this number."""
        with self._database.writing() as db:
            return bool(SESSIONS.delete().where((S.account_id == account.id) & (S.id == session_id)).execute(db))

    def end_others(self, session: Session) -> int:
        """End all sessions of the account except this one; return how many."""
        with self._database.writing() as db:
            others = (S.account_id == session.account.id) & (S.id != session.id)
            return int(SESSIONS.delete().where(others).execute(db))

    def end_all(self, account: Account) -> int:
        """End all sessions of the account; return how many."""
        with self._database.writing() as db:
            return int(SESSIONS.delete().where(S.account_id == account.id).execute(db))

    def list(self, account: Account) -> tuple[Session, ...]:
        """Return the active sessions of the account, the last used first."""
        with self._database.reading() as db:
            return tuple(_sessions(db, (S.account_id == account.id) & (S.expires_at > self._clock())))

    def counts(self) -> dict[int, int]:
        """Return the number of active sessions by account id."""
        counting = SESSIONS.select(S.account_id, fn.COUNT(S.id)).where(S.expires_at > self._clock())
        with self._database.reading() as db:
            return dict(counting.group_by(S.account_id).tuples().execute(db))


def _sessions(db: peewee.Database, which: Expression) -> Iterator[Session]:
    query: Select = SESSIONS.join(ACCOUNTS, on=A.id == S.account_id).select(*OWN, *PUBLIC)
    rows: Any = query.where(which).order_by(S.last_seen_at.desc(), S.id.desc()).tuples().execute(db)
    for row in rows:
        own, account = row[: len(OWN)], row[len(OWN) :]
        yield Session(own[0], Account(*account), *own[1:])


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()
