"""Tokens: the programs that may use the API, and their scopes.

A token is created with scopes; its secret is shown once. `find` looks up the secret at each request. With a SQLite
file it caches the token for a moment: that saves queries, and a revoked token is refused within that time. With
PostgreSQL it does not, so that what one web revokes, all refuse at once. Only the SHA-256 of the secret is stored. A
slow hash is not needed for 256 random bits.

`read` and `enqueue` can be limited to tasks: `enqueue:send_email`. `rotate` gives a token a new secret; the old one
remains valid for an overlap, in which its programs get the new one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import IntegrityError

from duey.monitor.access.database import Database
from duey.monitor.access.errors import ChangedSince, InvalidInput, TokenExists, UnknownToken
from duey.monitor.access.schema import TOKENS
from duey.monitor.access.text import checked_name, in_order, is_named

READ, ENQUEUE, ADMIN = SCOPES = ("read", "enqueue", "admin")
PREFIX = "duy_"
OLD_PREFIX = "dwy_"  # of tokens from before the project was renamed
SECRET_BYTES = 32
SECRET_LENGTH = len(PREFIX) + 43
TOUCH_EVERY_S = 60.0
LONGEST_S, LONGEST_OVERLAP_S = 3650 * 86400, 30 * 86400
OF_A_TASK = re.compile(rf"({READ}|{ENQUEUE}):[^\W\d]\w*(\.[^\W\d]\w*)*")
MOST_SCOPES, SCOPE_CHARS = 50, 200

T = TOKENS.c
PREVIOUS = (T.rotated_at, T.previous_until, T.previous_used_at)
PUBLIC = (T.id, T.name, T.scopes, T.created_at, T.last_used_at, T.expires_at, *PREVIOUS)


@dataclass(frozen=True)
class Token:
    """The token of a program. `last_used_at` may be a minute old. Times are UTC epoch seconds."""

    id: int
    name: str
    scopes: frozenset[str]
    created_at: float
    last_used_at: float | None
    expires_at: float | None = None
    rotated_at: float | None = None
    previous_until: float | None = None  # the secret before the last rotation is valid until then
    previous_used_at: float | None = None

    def allows(self, scope: str) -> bool:
        """Return whether the token has a scope for all tasks. admin includes all scopes."""
        return scope in self.scopes or ADMIN in self.scopes

    def tasks(self, scope: str) -> tuple[str, ...]:
        """Return the names of the tasks to which the token's scope is limited; none if it has no such scope."""
        return tuple(sorted(each.partition(":")[2] for each in self.scopes if each.startswith(f"{scope}:")))

    @property
    def version(self) -> str:
        """A text that no other token ever has, and that a rotation changes, to detect a change in between."""
        return str(self.id) if self.rotated_at is None else f"{self.id}.{self.rotated_at}"

    def overlaps(self, now: float) -> bool:
        """Return whether the secret before the last rotation is still valid."""
        return self.previous_until is not None and now < self.previous_until

    def has_expired(self, now: float) -> bool:
        """Return whether the token has expired."""
        return self.expires_at is not None and self.expires_at <= now


class Tokens:
    """All tokens. Names are found without regard to case. Every method may raise AccessUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        # Unknown secrets are not cached, because they would fill the memory.
        self._cache: dict[bytes, tuple[float, Token, bool]] = {}  # the last: whether it is the previous secret

    def create(self, name: str, scopes: Iterable[str], expires_s: float | None = None) -> tuple[Token, str]:
        """Return a new token, valid for `expires_s` or forever, and its secret. Raises InvalidInput, TokenExists."""
        checked_name("token name", name)
        stored = ",".join(sorted(_checked_scopes(scopes)))
        _checked_length("to expire", expires_s, LONGEST_S)
        secret, now = PREFIX + secrets.token_urlsafe(SECRET_BYTES), self._clock()
        row = dict(name=name, digest=_digest(secret), scopes=stored, created_at=now)
        with self._database.writing() as db:
            try:
                TOKENS.insert(expires_at=None if expires_s is None else now + expires_s, **row).execute(db)
            except IntegrityError:
                raise TokenExists(name) from None
            return _token(TOKENS.select(*PUBLIC).where(is_named(T.name, name)).get(db)), secret

    def find(self, secret: str) -> Token | None:
        """The token of a secret, or None if it is unknown, expired or revoked (elsewhere after `token_cache_s`)."""
        if len(secret) != SECRET_LENGTH or not secret.startswith((PREFIX, OLD_PREFIX)):
            return None
        digest, now = _digest(secret), self._clock()
        cached_at, cached, is_previous = self._cache.get(digest, (now, None, False))
        # A negative age means that the clock was set back. The entry would stay too long.
        if cached is None or not 0 <= now - cached_at < self._database.token_cache_s:
            with self._database.reading() as db:
                either = (T.digest == digest) | (T.previous_digest == digest)
                row = TOKENS.select(*PUBLIC, T.digest).where(either).get(db)
            if row is None:
                self._cache.pop(digest, None)
                return None
            is_previous = bytes(row.pop("digest")) != digest
            cached = _token(row)
            self._cache[digest] = (now, cached, is_previous)
            if _is_valid(cached, is_previous, now):
                self._touch(cached, is_previous, now)
        return cached if _is_valid(cached, is_previous, now) else None

    def rotate(
        self, name: str, overlap_s: float = 0.0, expires_s: float | None = None, seen: str | None = None
    ) -> tuple[Token, str]:
        """Return the token with a new secret, and the secret. The present one stays valid for `overlap_s`.

        A token that expires lives as long again as it was made for, or `expires_s`. In other processes the change
        counts within `token_cache_s`. Raises InvalidInput, UnknownToken or ChangedSince.
        """
        _checked_length("to expire", expires_s, LONGEST_S)
        if overlap_s:
            _checked_length("an overlap", overlap_s, LONGEST_OVERLAP_S)
        secret, now = PREFIX + secrets.token_urlsafe(SECRET_BYTES), self._clock()
        with self._database.writing() as db:
            token = self._seen(db, name, seen)
            ends, until = token.expires_at, now + overlap_s
            if ends is not None:
                until = min(until, ends)  # what has expired does not come back
                ends = now + (expires_s or ends - (token.rotated_at or token.created_at))
            elif expires_s is not None:
                ends = now + expires_s
            TOKENS.update(
                previous_digest=T.digest, previous_until=until, previous_used_at=None, digest=_digest(secret),
                rotated_at=now, expires_at=ends,
            ).where(T.id == token.id).execute(db)  # fmt: skip
            token = self._named(db, name)
        self._cache.clear()
        return token, secret

    def get(self, name: str) -> Token:
        """Return the token with this name. Raises UnknownToken."""
        with self._database.reading() as db:
            return self._named(db, name)

    def revoke(self, name: str, seen: str | None = None) -> None:
        """Revoke a token (in other processes within `token_cache_s`). `seen` is the version that the user saw. Raises
        UnknownToken or ChangedSince.
        """
        with self._database.writing() as db:
            token = self._seen(db, name, seen)
            TOKENS.delete().where(T.id == token.id).execute(db)
        self._cache.clear()

    def _seen(self, db: peewee.Database, name: str, seen: str | None) -> Token:
        token = self._named(db, name)
        if seen not in (None, token.version):
            raise ChangedSince(token.name)
        return token

    def _named(self, db: peewee.Database, name: str) -> Token:
        row = TOKENS.select(*PUBLIC).where(is_named(T.name, name)).get(db)
        if row is None:
            raise UnknownToken(name, [name for (name,) in TOKENS.select(T.name).tuples().execute(db)])
        return _token(row)

    def list(self) -> tuple[Token, ...]:
        """Return all tokens, by name."""
        with self._database.reading() as db:
            return tuple(_token(row) for row in TOKENS.select(*PUBLIC).order_by(in_order(T.name)).execute(db))

    def ever_made(self) -> bool:
        """Return whether there ever was a token, even if it is revoked."""
        with self._database.reading() as db:
            return bool(db.execute_sql(self._database.ever_numbered).fetchone())

    def _touch(self, token: Token, is_previous: bool, now: float) -> None:
        used = token.previous_used_at if is_previous else token.last_used_at
        if used is None or now - used >= TOUCH_EVERY_S:
            column = T.previous_used_at if is_previous else T.last_used_at
            # A program must get in even while a backup holds the write lock.
            self._database.write_if_free(TOKENS.update({column: now}).where(T.id == token.id))


def _token(row: dict[str, Any]) -> Token:
    return Token(**{**row, "scopes": frozenset(row["scopes"].split(","))})


def _is_valid(token: Token, is_previous: bool, now: float) -> bool:
    return token.overlaps(now) if is_previous else not token.has_expired(now)


def _checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    found = frozenset(scopes)
    unknown = {each for each in found - set(SCOPES) if len(each) > SCOPE_CHARS or not OF_A_TASK.fullmatch(each)}
    if unknown or not 0 < len(found) <= MOST_SCOPES:
        shown = ", ".join(sorted(unknown))[:100] or str(len(found) or "none")
        expected = f"1 to {MOST_SCOPES} of {', '.join(SCOPES)}, read:TASK and enqueue:TASK"
        raise InvalidInput("scopes", expected, shown)
    return found


def _checked_length(what: str, seconds: float | None, longest_s: float) -> None:
    if seconds is not None and not 0 < seconds <= longest_s:
        raise InvalidInput("token", f"{what} within {longest_s // 86400:g} days", f"{seconds:g} s")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
