"""Accounts: the people who may log in, and their roles.

An account is created with a role and a password, which is given or generated. A log-in is throttled and always
computes one scrypt hash. An admin changes and removes accounts. A new password ends the account's sessions. The last
admin can be neither removed nor demoted.

Changes take `seen`, the version of the account that the user saw, and raise ChangedSince if it is a different one
now. Without `seen` there is no such check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import Case, IntegrityError

from duey.monitor.access import security
from duey.monitor.access.audit import WEB, Audit
from duey.monitor.access.database import Database
from duey.monitor.access.errors import (
    AccountExists,
    ChangedSince,
    InvalidInput,
    LastAdmin,
    ProxyAccount,
    TooManyAttempts,
    UnknownAccount,
)
from duey.monitor.access.login import passwords
from duey.monitor.access.login.throttle import Devices, Throttle, source_key
from duey.monitor.access.schema import ACCOUNTS, SESSIONS
from duey.monitor.access.text import checked_name, in_order, is_named, possible_name

ADMIN, VIEWER = "admin", "viewer"
ROLES = (ADMIN, VIEWER)
LOCAL, PROXY = "local", "proxy"  # where an account logs in: with a password here, or at the proxy

A = ACCOUNTS.c
PUBLIC = (A.id, A.name, A.role, A.created_at, A.last_login_at, A.password_version, A.origin, A.second_factor_at)
PASSWORD = (A.password_digest, A.password_salt, A.scrypt_n, A.scrypt_r, A.scrypt_p)


@dataclass(frozen=True)
class Account:
    """A person's account. `role` is admin or viewer. Times are UTC epoch seconds."""

    id: int
    name: str
    role: str
    created_at: float
    last_login_at: float | None
    password_version: int  # increases with each change
    origin: str = LOCAL
    second_factor_at: float | None = None  # since when a log-in needs a code as well

    @property
    def is_admin(self) -> bool:
        """Whether this account may change anything. A viewer may not."""
        return self.role == ADMIN

    @property
    def is_local(self) -> bool:
        """Whether it has a password here. The others are logged in by the proxy."""
        return self.origin == LOCAL

    @property
    def version(self) -> str:
        """A text that changes when the account is changed or removed, to detect a change in between."""
        return f"{self.id}.{self.role}.{self.password_version}"


class Accounts:
    """All accounts. Names are found without regard to case. Every method may raise AccessUnavailable."""

    def __init__(
        self, database: Database, throttle: Throttle, devices: Devices, audit: Audit, clock: Callable[[], float],
        service: str,
    ) -> None:  # fmt: skip
        self._database, self._throttle, self._devices = database, throttle, devices
        self._audit, self._clock, self._service = audit, clock, service

    def create(self, name: str, role: str, password: str | None = None) -> tuple[Account, str | None]:
        """Create an account; return it with the generated password, or None if a password was given.

        Raises InvalidInput or AccountExists.
        """
        checked_name("account name", name), _checked_role(role)
        given = password if password is None else passwords.checked(password, name, self._service)
        password = given or passwords.made()
        row = dict(name=name, role=role, created_at=self._clock(), **_columns(passwords.hashed(password)))
        with self._database.writing() as db:
            try:
                ACCOUNTS.insert(**row).execute(db)
            except IntegrityError:
                raise AccountExists(name) from None
            return _found(db, name), None if given else password

    def set_password(self, name: str, password: str | None = None, seen: str | None = None) -> str | None:
        """Change a password, end the account's sessions and reset its throttle; return a generated password.

        Returns None if a password was given. Raises InvalidInput, UnknownAccount, ChangedSince or ProxyAccount.
        """
        given = password if password is None else passwords.checked(password, name, self._service)
        password = given or passwords.made()
        columns = _columns(passwords.hashed(password))
        with self._database.writing() as db:
            account = _found(db, name, seen)
            if not account.is_local:
                raise ProxyAccount(account.name)
            mine = A.id == account.id
            ACCOUNTS.update(password_version=A.password_version + 1, **columns).where(mine).execute(db)
            SESSIONS.delete().where(SESSIONS.c.account_id == account.id).execute(db)
            self._throttle.forgive(account.name)
        return None if given else password

    def authenticate(
        self, name: str, password: str, address: str, device: str = "", has_session: bool = False
    ) -> Account | None:
        """Return the account, or None for an unknown name or a wrong password, after the same time in both cases.

        `device` is the cookie of `device_cookie`, if the browser has one. An account with a second factor is not logged
        in yet (unless `has_session`), so the attempt counts until `complete`. Raises TooManyAttempts before it hashes.
        """
        known = self._credentials(name)
        nonce = self._devices.known(device, known.id if known else 0, known.password_version if known else 0)
        who = possible_name(name) if known else ""
        try:
            left = self._throttle.admit(address, name, nonce)
        except TooManyAttempts:
            security.note(security.LOGIN_THROTTLED, address, who)
            raise
        account = self._matching(name, password, known, has_session)
        if account is None:
            security.note(security.LOGIN_FAILED, address, who)
            if left == 0:
                security.note(security.LOCK_OUT, address, who)
                self._audit.record(
                    who, WEB, address, "lock out", source_key(address, nonce)[:64], detail="too many failed log-ins"
                )
            return None
        if has_session or account.second_factor_at is None:
            self._throttle.forgive(name, address, nonce)
            security.note(security.LOGIN_SUCCEEDED, address, account.name)
        return account

    def complete(self, account: Account, address: str, device: str) -> None:
        """Note that the second factor was right, too: the failures of this browser are taken back."""
        self._throttle.forgive(account.name, address, self._devices.known(device, account.id, account.password_version))
        with self._database.writing() as db:
            ACCOUNTS.update(last_login_at=self._clock()).where(A.id == account.id).execute(db)

    def _matching(self, name: str, password: str, known: _Credentials | None, has_session: bool) -> Account | None:
        if not passwords.matches(password, known.hash if known else None) or known is None:
            return None
        now = self._clock()
        login_at = now if has_session else Case(None, [(A.second_factor_at.is_null(), now)], A.last_login_at)
        changes: dict[str, Any] = {"last_login_at": login_at}
        if known.hash.cost != passwords.COST:
            changes.update(_columns(passwords.hashed(password)))
        with self._database.writing() as db:
            # While it hashed, the password may have been changed or the account removed.
            same = (A.id == known.id) & (A.password_version == known.password_version)
            return _found(db, name) if ACCOUNTS.update(**changes).where(same).execute(db) else None

    def device_cookie(self, account: Account) -> str:
        """Return a cookie that proves that this browser has logged in to the account. A new password ends it."""
        return self._devices.made(account.id, account.password_version)

    def get(self, name: str) -> Account:
        """Return the account with this name. Raises UnknownAccount."""
        with self._database.reading() as db:
            return _found(db, name)

    def list(self) -> tuple[Account, ...]:
        """Return all accounts, by name."""
        with self._database.reading() as db:
            return tuple(Account(**row) for row in ACCOUNTS.select(*PUBLIC).order_by(in_order(A.name)).execute(db))

    def exist(self) -> bool:
        """Return whether there is any account."""
        with self._database.reading() as db:
            return bool(ACCOUNTS.select(A.id).exists(db))

    def set_role(self, name: str, role: str, seen: str | None = None) -> Account:
        """Change a role, from the next request on; return the account.

        Raises InvalidInput, UnknownAccount, ChangedSince or LastAdmin.
        """
        _checked_role(role)
        with self._database.writing() as db:
            account = _found(db, name, seen)
            if role != ADMIN:
                _protect_last_admin(db, account)
            ACCOUNTS.update(role=role).where(A.id == account.id).execute(db)
            return _found(db, name)

    def remove(self, name: str, seen: str | None = None) -> None:
        """Remove an account and its sessions. Raises UnknownAccount, ChangedSince or LastAdmin."""
        with self._database.writing() as db:
            account = _found(db, name, seen)
            _protect_last_admin(db, account)
            ACCOUNTS.delete().where(A.id == account.id).execute(db)

    def _credentials(self, name: str) -> _Credentials | None:
        query = ACCOUNTS.select(A.id, A.password_version, *PASSWORD).where(is_named(A.name, name))
        with self._database.reading() as db:
            row = query.tuples().get(db)
        if row is None:
            return None
        account_id, version, digest, salt, *cost = row
        return _Credentials(account_id, version, passwords.Hash(digest, salt, passwords.Cost(*cost)))


@dataclass(frozen=True)
class _Credentials:
    """The stored values that a log-in is checked against."""

    id: int
    password_version: int
    hash: passwords.Hash


def _found(db: peewee.Database, name: str, seen: str | None = None) -> Account:
    row = ACCOUNTS.select(*PUBLIC).where(is_named(A.name, name)).get(db)
    if row is None:
        raise UnknownAccount(name, [name for (name,) in ACCOUNTS.select(A.name).tuples().execute(db)])
    account = Account(**row)
    if seen not in (None, account.version):
        raise ChangedSince(account.name)
    return account


def _protect_last_admin(db: peewee.Database, account: Account) -> None:
    # The caller's transaction holds the write lock, so two admins cannot remove each other.
    if account.is_admin and ACCOUNTS.select().where(A.role == ADMIN).count(db) == 1:
        raise LastAdmin(account.name)


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise InvalidInput("role", " or ".join(ROLES), repr(role[:100]))
    return role


def _columns(hashed: passwords.Hash) -> dict[str, Any]:
    cost = hashed.cost
    values = (hashed.digest, hashed.salt, cost.n, cost.r, cost.p)
    return {column.name: value for column, value in zip(PASSWORD, values, strict=True)}
