"""The throttle: how often a log-in may be tried, by address and by account.

Order: `admit` counts the attempt as failed before the password is looked at, in one transaction, so that a
hundred at once gain nothing over one after the other; `forgive` takes back what a success has redeemed.
Attempts are forgotten after `WINDOW_S`; in the database they hold for all processes and survive a restart.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from peewee import Expression, SqliteDatabase

from monitor.access.database import Database
from monitor.access.errors import TooManyAttempts
from monitor.access.schema import ATTEMPTS
from monitor.access.text import bounded, possible_name

WINDOW_S = 15 * 60
# An attempt from further ahead than this shows that the clock was set back; it would bar people until then.
CLOCK_STEP_S = 60


class Throttle:
    """`limit` failures per window and address, and as many per window and account."""

    def __init__(self, database: Database, limit: int, clock: Callable[[], float]) -> None:
        self._database, self._limit, self._clock = database, limit, clock

    def admit(self, address: str, account: str) -> None:
        """Count one attempt, or raise TooManyAttempts, which counts nothing."""
        # What cannot be a name belongs to nobody, so that one key for all of it bars nobody.
        address, account = _address_key(address), possible_name(account)
        with self._database.writing() as db:
            # Read under the lock: taken before waiting for it, it could lie behind what others have counted.
            now = self._clock()
            ATTEMPTS.delete().where((ATTEMPTS.c.at <= now - WINDOW_S) | (ATTEMPTS.c.at > now + CLOCK_STEP_S)).execute(
                db
            )
            free_at = max(
                self._free_at(db, ATTEMPTS.c.address == address),
                self._free_at(db, ATTEMPTS.c.account == account),
            )
            if free_at > now:
                raise TooManyAttempts(int(free_at - now) + 1)
            ATTEMPTS.insert(at=now, address=address, account=account).execute(db)

    def forgive(self, account: str, address: str | None = None) -> None:
        """Forget the attempts on this account, from this address or from all."""
        forgiven = ATTEMPTS.c.account == possible_name(account)
        if address is not None:
            # Not those on other accounts: else a guesser could wash himself clean by entering his own.
            forgiven &= ATTEMPTS.c.address == _address_key(address)
        with self._database.writing() as db:
            ATTEMPTS.delete().where(forgiven).execute(db)

    def _free_at(self, db: SqliteDatabase, mine: Expression) -> float:
        """When fewer than `limit` of these attempts are left; in the past if that is so now."""
        latest_first = ATTEMPTS.select(ATTEMPTS.c.at).where(mine).order_by(ATTEMPTS.c.at.desc())
        at: Any = latest_first.offset(self._limit - 1).limit(1).scalar(db)
        return 0.0 if at is None else at + WINDOW_S


def _address_key(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return bounded(address, 64)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            # One customer usually holds a whole /64, and could come from a new address each time.
            return str(ipaddress.ip_network((int(ip), 64), strict=False))
        ip = ip.ipv4_mapped
    return str(ip)
