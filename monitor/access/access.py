"""Access to the monitor: one object for the accounts, sessions, tokens, audit log and CSRF tokens of one database.

It is made from settings without touching the disk. `first_start` creates the first admin and the first token. Then
any number of threads and processes use it. Each thread calls `close` when it is done (a web thread after each
request), which closes only its own connection. The next use opens another.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from duey.config import Settings
from duey.monitor.access.accounts import ADMIN, Accounts
from duey.monitor.access.audit import Audit
from duey.monitor.access.csrf import Csrf
from duey.monitor.access.database import database
from duey.monitor.access.login.proxied import NO_GROUPS, GroupRoles, ProxyUsers
from duey.monitor.access.login.second_factor import SecondFactors
from duey.monitor.access.login.throttle import Devices, Throttle
from duey.monitor.access.sessions import Sessions
from duey.monitor.access.tokens import SCOPES, Tokens

FIRST_ACCOUNT, FIRST_TOKEN = "admin", "first"


@dataclass(frozen=True)
class FirstSecrets:
    """The created admin (name and password, '' if there was one before) and token (name and secret), shown once."""

    account: str
    password: str = field(repr=False)
    token: str
    secret: str = field(repr=False)


class Access:
    """Access to the monitor. `login_attempts`: failures per 15 minutes and address. `service`: not allowed as password.

    Raises ValueError if `database_url` is neither `sqlite:///FILE` nor `postgresql://...`. The first method uses the
    disk or the server.
    """

    def __init__(
        self,
        database_url: str,
        session_hours: float = 12,
        login_attempts: int = 10,
        clock: Callable[[], float] = time.time,
        session_days: float = 7,
        audit_days: float = 365,
        service: str = "",
        roles: GroupRoles = NO_GROUPS,
        totp_key: str = "",
    ) -> None:
        self._database = database(database_url)
        self.audit = Audit(self._database, audit_days, clock)
        self.csrf = Csrf(self._database)
        throttle = Throttle(self._database, login_attempts, clock)
        self.accounts = Accounts(self._database, throttle, Devices(self.csrf), self.audit, clock, service)
        self.second_factors = SecondFactors(self._database, throttle, clock, service or "Duey", totp_key)
        self.sessions = Sessions(self._database, session_hours, session_days, clock)
        self.proxy_users = ProxyUsers(self._database, self.audit, self.csrf, roles, session_hours, clock)
        self.tokens = Tokens(self._database, clock)

    @classmethod
    def of(cls, settings: Settings, clock: Callable[[], float] = time.time) -> Access:
        """Return the access that the settings describe. `clock`: one that all webs share."""
        auth = settings.auth
        return cls(
            auth.database, auth.session_hours, auth.login_attempts, clock, session_days=auth.session_days,
            audit_days=auth.audit_days, service=settings.service.name, roles=GroupRoles.of(auth),
            totp_key=auth.totp_key,
        )  # fmt: skip

    def prepare(self) -> None:
        """Create, check and migrate the tables now, so that a start fails with a message. Raises AccessUnavailable."""
        self._database.prepare()

    def lacks(self) -> tuple[str, ...]:
        """Return what `first_start` would create: an admin and a token if there is no admin, else the first token."""
        if not any(account.is_admin for account in self.accounts.list()):
            return FIRST_ACCOUNT, FIRST_TOKEN
        return () if self.tokens.ever_made() else (FIRST_TOKEN,)

    def first_start(self) -> FirstSecrets | None:
        """Create what is missing; return None if nothing is. Only one of several processes does it."""
        if not self.lacks():
            return None
        with self.transaction():
            if not (lacking := self.lacks()):
                return None
            account, password = "", None
            if FIRST_ACCOUNT in lacking:
                taken = {account.name.lower() for account in self.accounts.list()}
                made, password = self.accounts.create(_free(FIRST_ACCOUNT, taken), ADMIN)
                account = made.name
            token, secret = self.tokens.create(
                _free(FIRST_TOKEN, {token.name.lower() for token in self.tokens.list()}), SCOPES
            )
        return FirstSecrets(account, password or "", token.name, secret)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction for changes and their audit entry. Keep it short: it holds the write lock."""
        with self._database.writing():
            yield

    def close(self) -> None:
        """Close this thread's connection. The next use opens another."""
        self._database.close()


def _free(name: str, taken: set[str]) -> str:
    """Return the name, or the first of NAME-2, NAME-3 ... that is not taken."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(each for each in names if each not in taken)
