"""Access: the one door to accounts, sessions, tokens, the audit and the CSRF proofs of one access database.

Order: built from settings without touching the disk; `first_start` makes the first admin and the first token;
then used from any number of threads and processes. Ending: each thread (a web thread after each request)
calls `close`, which ends its connection only; the next use opens another.
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
from duey.monitor.access.database import Database
from duey.monitor.access.sessions import Sessions
from duey.monitor.access.throttle import Devices, Throttle
from duey.monitor.access.tokens import SCOPES, Tokens

FIRST_ACCOUNT, FIRST_TOKEN = "admin", "first"


@dataclass(frozen=True)
class FirstSecrets:
    """What the first start made, shown once: name and password of an admin, or '' where there was one before, name and
    secret of a token."""

    account: str
    password: str = field(repr=False)
    token: str
    secret: str = field(repr=False)


class Access:
    """Who may enter. `database_url` is `sqlite:///FILE`; `login_attempts` is failures per 15 minutes and address;
    `service` is a name that is no password.

    Raises ValueError for another kind of URL; the disk is first touched at the first use.
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
    ) -> None:
        self._database = Database(database_url)
        self.audit = Audit(self._database, audit_days, clock)
        self.csrf = Csrf(self._database)
        throttle = Throttle(self._database, login_attempts, clock)
        self.accounts = Accounts(self._database, throttle, Devices(self.csrf), self.audit, clock, service)
        self.sessions = Sessions(self._database, session_hours, session_days, clock)
        self.tokens = Tokens(self._database, clock)

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """As the configuration says."""
        auth = settings.auth
        return cls(
            auth.database, auth.session_hours, auth.login_attempts, session_days=auth.session_days,
            audit_days=auth.audit_days, service=settings.service.name,
        )  # fmt: skip

    def prepare(self) -> None:
        """Make, check and migrate the file now: a start fails here, in words. Raises AccessUnavailable."""
        self._database.prepare()

    def lacks(self) -> tuple[str, ...]:
        """What a first start would make: an admin where there is none, a token then and where there never was one."""
        if not any(account.is_admin for account in self.accounts.list()):
            return FIRST_ACCOUNT, FIRST_TOKEN
        return () if self.tokens.ever_made() else (FIRST_TOKEN,)

    def first_start(self) -> FirstSecrets | None:
        """Make what is lacking, or return None if nothing is; of several processes one alone does."""
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

    def csrf_secret(self) -> bytes:
        """The 32 bytes of this installation, made once."""
        return self.csrf.secret()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes within and their audit line, or none. Keep it short: it holds the write lock."""
        with self._database.writing():
            yield

    def close(self) -> None:
        """End this thread's connection; the next use opens another."""
        self._database.close()


def _free(name: str, taken: set[str]) -> str:
    """The name, or the first of NAME-2, NAME-3 ... that is not taken."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(each for each in names if each not in taken)
