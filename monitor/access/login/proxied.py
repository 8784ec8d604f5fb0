"""People whom the proxy has logged in (single sign-on).

Each request carries their name, so they have no session and no password here; the proxy has both. They have an
account: it is made at their first visit, so that the audit, the page Access and `password_version` work as for all
others. Where groups are configured they decide the role at each request. Otherwise a new account is a viewer's, and an
admin changes it.

A name that belongs to a local account is refused. Otherwise whoever may choose a name at the identity provider could
become `admin`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import peewee

from duey.config.auth import Auth
from duey.monitor.access import security
from duey.monitor.access.accounts import ADMIN, LOCAL, PROXY, PUBLIC, VIEWER, A, Account
from duey.monitor.access.audit import WEB, Audit
from duey.monitor.access.csrf import Csrf
from duey.monitor.access.database import Database
from duey.monitor.access.errors import InvalidInput, LocalAccount, NotInGroup, ProxyAccount
from duey.monitor.access.login.passwords import COST, SALT_BYTES
from duey.monitor.access.schema import ACCOUNTS
from duey.monitor.access.sessions import Session
from duey.monitor.access.text import bounded, checked_name, is_named, possible_name

GROUPS_CHARS = 16_000
_SEPARATOR = re.compile(r"[,|]")
_NO_PASSWORD = dict(
    password_digest=b"", password_salt=bytes(SALT_BYTES), scrypt_n=COST.n, scrypt_r=COST.r, scrypt_p=COST.p
)


@dataclass(frozen=True)
class GroupRoles:
    """Which role the groups of a user give. `by_groups` False: groups decide nothing."""

    by_groups: bool = False
    admins: frozenset[str] = frozenset()
    viewers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, auth: Auth) -> GroupRoles:
        return cls(bool(auth.remote_groups_header), frozenset(auth.admin_groups), frozenset(auth.viewer_groups))

    def role(self, name: str, groups: str) -> str | None:
        """Return the role of a user with these groups, or None if groups do not decide. Raises NotInGroup."""
        if not self.by_groups:
            return None
        found = {each.strip() for each in _SEPARATOR.split(groups[:GROUPS_CHARS])}
        if found & self.admins:
            return ADMIN
        if not self.viewers or found & self.viewers:
            return VIEWER
        raise NotInGroup(name)


NO_GROUPS = GroupRoles()


class ProxyUsers:
    """The users of the proxy. Methods may raise AccessUnavailable."""

    def __init__(
        self, database: Database, audit: Audit, csrf: Csrf, roles: GroupRoles, hours: float, clock: Callable[[], float]
    ) -> None:
        self._database, self._audit, self._csrf, self._clock = database, audit, csrf, clock
        self._roles, self._visit_s = roles, hours * 3600

    def check_role_change(self, account: Account) -> None:
        """Raise ProxyAccount if groups decide the role of this account: the next request would undo the change."""
        if self._roles.by_groups and not account.is_local:
            raise ProxyAccount(account.name)

    def visit(self, name: str, groups: str, address: str, agent: str) -> tuple[str, Session]:
        """Return the key for the CSRF tokens of this user, and what stands for a session during one request.

        Raises InvalidInput, LocalAccount or NotInGroup.
        """
        try:
            name, now = checked_name("the user that the proxy names", _text(name)), self._clock()
            account = self._account(name, self._roles.role(name, _text(groups)), address)
        except (InvalidInput, LocalAccount, NotInGroup):
            security.note(security.IDENTITY_REFUSED, address, possible_name(name))
            raise
        if account.last_login_at is None or not 0 <= now - account.last_login_at < self._visit_s:
            self._database.write_if_free(ACCOUNTS.update(last_login_at=now).where(A.id == account.id))
            self._audit.note(account.name, WEB, address, "log in", account.name, detail="by the proxy")
        session = Session(0, account, now, now, now, bounded(address, 64), bounded(agent, 200), confirmed_at=now)
        return self._csrf.mark("proxy", str(account.id)), session

    def _account(self, name: str, role: str | None, address: str) -> Account:
        with self._database.reading() as db:
            account = _named(db, name)
        if account is not None and role in (None, account.role):
            return account
        with self._database.writing() as db:
            account = _named(db, name)  # another request may have been first
            if account is None:
                values = dict(name=name, role=role or VIEWER, origin=PROXY, created_at=self._clock(), **_NO_PASSWORD)
                ACCOUNTS.insert(**values).execute(db)
                self._audit.record(name, WEB, address, "add account", name, detail=f"{role or VIEWER}, by the proxy")
            elif role not in (None, account.role):
                ACCOUNTS.update(role=role).where(A.id == account.id).execute(db)
                self._audit.record(name, WEB, address, "change role", name, detail=f"{role}, by the proxy's groups")
            found = _named(db, name)
            assert found is not None
            return found


def _text(value: str) -> str:
    """Return a header's value, which WSGI passes on as Latin-1, as the UTF-8 that proxies send."""
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def _named(db: peewee.Database, name: str) -> Account | None:
    row = ACCOUNTS.select(*PUBLIC).where(is_named(A.name, name)).get(db)
    if row is None:
        return None
    account = Account(**row)
    if account.origin == LOCAL:
        raise LocalAccount(account.name)
    return account
