"""Tokens: the programs that may use the API, and their scopes.

A token is created with scopes; its secret is shown once. `find` looks up the secret at each request and caches the
token for `CACHE_S`: that saves queries, and a revoked token is refused within that time. Only the SHA-256 of the
secret is stored. A slow hash is not needed for 256 random bits.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from peewee import IntegrityError, SqliteDatabase

from duey.monitor.access.database import Database
from duey.monitor.access.errors import ChangedSince, InvalidInput, TokenExists, UnknownToken
from duey.monitor.access.schema import TOKENS
from duey.monitor.access.text import checked_name, possible_name

READ, ENQUEUE, ADMIN = SCOPES = ("read", "enqueue", "admin")
PREFIX = "duy_"
OLD_PREFIX = "dwy_"  # of tokens from before the project was renamed
SECRET_BYTES = 32
SECRET_LENGTH = len(PREFIX) + 43
CACHE_S = 2.0
TOUCH_EVERY_S = 60.0
LONGEST_S = 3650 * 86400

T = TOKENS.c
PUBLIC = (T.id, T.name, T.scopes, T.created_at, T.last_used_at, T.expires_at)


@dataclass(frozen=True)
class Token:
    """The token of a program. `last_used_at` may be a minute old. Times are UTC epoch seconds."""

    id: int
    name: str
    scopes: frozenset[str]
    created_at: float
    last_used_at: float | None
    expires_at: float | None = None

    def allows(self, scope: str) -> bool:
        """Return whether the token has a scope. admin includes all scopes."""
        return scope in self.scopes or ADMIN in self.scopes

    @property
    def version(self) -> str:
        """A text that no other token ever has, to detect a change in between."""
        return str(self.id)

    def has_expired(self, now: float) -> bool:
        """Return whether the token has expired."""
        return self.expires_at is not None and self.expires_at <= now


class Tokens:
    """All tokens. Names are found without regard to case. Every method may raise AccessUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        # Unknown secrets are not cached, because they would fill the memory.
        self._cache: dict[bytes, tuple[float, Token]] = {}

    def create(self, name: str, scopes: Iterable[str], expires_s: float | None = None) -> tuple[Token, str]:
        """Return a new token, valid for `expires_s` or forever, and its secret. Raises InvalidInput, TokenExists."""
        checked_name("token name", name)
        stored = ",".join(sorted(_checked_scopes(scopes)))
        if expires_s is not None and not 0 < expires_s <= LONGEST_S:
            raise InvalidInput("token", f"to expire within {LONGEST_S // 86400} days", f"{expires_s:g} s")
        secret, now = PREFIX + secrets.token_urlsafe(SECRET_BYTES), self._clock()
        row = dict(name=name, digest=_digest(secret), scopes=stored, created_at=now)
        with self._database.writing() as db:
            try:
                TOKENS.insert(expires_at=None if expires_s is None else now + expires_s, **row).execute(db)
            except IntegrityError:
                raise TokenExists(name) from None
            return _token(TOKENS.select(*PUBLIC).where(T.name == name).get(db)), secret

    def find(self, secret: str) -> Token | None:
        """Return the token of a secret, or None if it is unknown, expired, or revoked more than `CACHE_S` ago."""
        if len(secret) != SECRET_LENGTH or not secret.startswith((PREFIX, OLD_PREFIX)):
            return None
        digest, now = _digest(secret), self._clock()
        cached_at, cached = self._cache.get(digest, (now, None))
        # A negative age means that the clock was set back. The entry would stay too long.
        if cached is not None and 0 <= now - cached_at < CACHE_S:
            return None if cached.has_expired(now) else cached
        with self._database.reading() as db:
            row = TOKENS.select(*PUBLIC).where(T.digest == digest).get(db)
        if row is None:
            self._cache.pop(digest, None)
            return None
        token = _token(row)
        if token.has_expired(now):
            return None
        self._touch(token, now)
        self._cache[digest] = (now, token)
        return token

    def get(self, name: str) -> Token:
        """Return the token with this name. Raises UnknownToken."""
        with self._database.reading() as db:
            return self._named(db, name)

    def revoke(self, name: str, seen: str | None = None) -> None:
        """Revoke a token (in other processes within `CACHE_S`). `seen` is the version that the user saw. Raises
        UnknownToken or ChangedSince.
        """
        with self._database.writing() as db:
            token = self._named(db, name)
            if seen not in (None, token.version):
                raise ChangedSince(token.name)
            TOKENS.delete().where(T.id == token.id).execute(db)
        self._cache.clear()

    def _named(self, db: SqliteDatabase, name: str) -> Token:
        row = TOKENS.select(*PUBLIC).where(T.name == possible_name(name)).get(db)
        if row is None:
            raise UnknownToken(name, [name for (name,) in TOKENS.select(T.name).tuples().execute(db)])
        return _token(row)

    def list(self) -> tuple[Token, ...]:
        """Return all tokens, by name."""
        with self._database.reading() as db:
            return tuple(_token(row) for row in TOKENS.select(*PUBLIC).order_by(T.name).execute(db))

    def ever_made(self) -> bool:
        """Return whether there ever was a token, even if it is revoked."""
        with self._database.reading() as db:
            return bool(db.execute_sql("SELECT seq FROM sqlite_sequence WHERE name = 'tokens' AND seq > 0").fetchone())

    def _touch(self, token: Token, now: float) -> None:
        if token.last_used_at is None or now - token.last_used_at >= TOUCH_EVERY_S:
            # A program must get in even while a backup holds the write lock.
            self._database.write_if_free(TOKENS.update(last_used_at=now).where(T.id == token.id))


def _token(row: dict[str, Any]) -> Token:
    return Token(**{**row, "scopes": frozenset(row["scopes"].split(","))})


def _checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    found = frozenset(scopes)
    if not found or found - set(SCOPES):
        shown = ", ".join(sorted(found - set(SCOPES)))[:100] or "none"
        raise InvalidInput("scopes", f"some of {', '.join(SCOPES)}", shown)
    return found


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
