"""The throttle: how often a log-in may be tried, by address, by account and by device.

Order: `admit` counts the attempt as failed before the password is looked at, in one transaction, so that a
hundred at once gain nothing over one after the other; `forgive` takes back what a success has redeemed.
Attempts are forgotten after `WINDOW_S`; in the database they hold for all processes and survive a restart.

An account is never locked as a whole, for then a stranger could keep its owner out. An address has `limit` attempts.
Once an account has failed more often than one address could make it, an address that has tried it already must keep a
pace; the first attempt of an address is never held up. A device that has logged in to the account before shows a cookie
that proves it: it has `limit` attempts of its own, whatever others do.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from typing import Any

from peewee import Expression, SqliteDatabase

from duey.monitor.access.csrf import Csrf
from duey.monitor.access.database import Database
from duey.monitor.access.errors import TooManyAttempts
from duey.monitor.access.schema import ATTEMPTS
from duey.monitor.access.text import bounded, possible_name

WINDOW_S = 15 * 60
# An attempt from further ahead than this shows that the clock was set back; it would bar people until then.
CLOCK_STEP_S = 60
MAX_PACE_S = 30.0

T = ATTEMPTS.c


class Devices:
    """The cookie of a device that has logged in to an account: `NONCE.PROOF`. A new password ends its meaning."""

    def __init__(self, csrf: Csrf) -> None:
        self._csrf = csrf

    def made(self, account_id: int, password_version: int) -> str:
        """A new cookie for this account."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._proof(nonce, account_id, password_version)}"

    def known(self, cookie: str, account_id: int, password_version: int) -> str:
        """The name of the device, empty if it has never logged in to this account."""
        nonce, _, proof = cookie.partition(".")
        right = self._proof(nonce, account_id, password_version)
        return nonce if hmac.compare_digest(right.encode(), proof.encode("utf-8", "surrogatepass")) else ""

    def _proof(self, nonce: str, account_id: int, password_version: int) -> str:
        return self._csrf.mark("device", f"{account_id}:{password_version}:{nonce}")


class Throttle:
    """`limit` failures per window and address (or known device), and a pace for an account that is guessed at."""

    def __init__(self, database: Database, limit: int, clock: Callable[[], float]) -> None:
        self._database, self._limit, self._clock = database, limit, clock

    def admit(self, address: str, account: str, device: str = "") -> int:
        """Count one attempt and return how many are left, or raise TooManyAttempts, which counts nothing."""
        # What cannot be a name belongs to nobody, so that one key for all of it bars nobody.
        source, account = source_key(address, device), possible_name(account)
        with self._database.writing() as db:
            # Read under the lock: taken before waiting for it, it could lie behind what others have counted.
            now = self._clock()
            ATTEMPTS.delete().where((T.at <= now - WINDOW_S) | (T.at > now + CLOCK_STEP_S)).execute(db)
            mine = T.address == source
            free_at = self._free_at(db, mine)
            if not device:
                free_at = max(free_at, self._next_at(db, source, account))
            if free_at > now:
                raise TooManyAttempts(int(free_at - now) + 1)
            ATTEMPTS.insert(at=now, address=source, account=account).execute(db)
            return self._limit - int(ATTEMPTS.select().where(mine).count(db))

    def forgive(self, account: str, address: str | None = None, device: str = "") -> None:
        """Forget the attempts on this account, from this address and device or from all."""
        forgiven = T.account == possible_name(account)
        if address is not None:
            # Not those on other accounts: else a guesser could wash himself clean by entering his own.
            forgiven &= T.address.in_([source_key(address), source_key(address, device)])
        with self._database.writing() as db:
            ATTEMPTS.delete().where(forgiven).execute(db)

    def _free_at(self, db: SqliteDatabase, mine: Expression) -> float:
        """When fewer than `limit` of these attempts are left; in the past if that is so now."""
        latest_first = ATTEMPTS.select(T.at).where(mine).order_by(T.at.desc())
        at: Any = latest_first.offset(self._limit - 1).limit(1).scalar(db)
        return 0.0 if at is None else at + WINDOW_S

    def _next_at(self, db: SqliteDatabase, source: str, account: str) -> float:
        """When an address that has tried this account may try again at the account's pace."""
        on_account = T.account == account
        failures = int(ATTEMPTS.select().where(on_account).count(db))
        if failures < 2 * self._limit or not ATTEMPTS.select(T.id).where(on_account & (T.address == source)).exists(db):
            return 0.0
        last: Any = ATTEMPTS.select(T.at).where(on_account).order_by(T.at.desc()).limit(1).scalar(db)
        return float(last) + min(failures / self._limit, MAX_PACE_S)


def source_key(address: str, device: str = "") -> str:
    """What attempts are counted under: the known device, else the address (of IPv6 the /64)."""
    if device:
        return f"device {device}"
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
