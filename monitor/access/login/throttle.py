"""The throttle: limits failed log-ins by address, by account and by device.

`admit` counts an attempt as failed before the password is checked, in one transaction, so that parallel attempts
have no advantage. `forgive` removes the attempts after a success. Attempts expire after `WINDOW_S`. They are stored
in the database, so they count for all processes and after a restart.

Each address has `limit` attempts. An account is never locked completely, because then anyone could lock out its
owner. After 2 * `limit` failures on an account, an address that tried it before must pause between attempts. The
first attempt of an address never waits. A device that has logged in before proves it with a cookie, and has `limit`
attempts of its own, regardless of others.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from typing import Any

import peewee
from peewee import Expression

from duey.monitor.access.csrf import Csrf
from duey.monitor.access.database import Database
from duey.monitor.access.errors import TooManyAttempts
from duey.monitor.access.schema import ATTEMPTS
from duey.monitor.access.text import bounded, possible_name

WINDOW_S = 15 * 60
# A later attempt means that the clock was set back. It is deleted, or it would block log-ins until then.
CLOCK_STEP_S = 60
MAX_PACE_S = 30.0

T = ATTEMPTS.c


class Devices:
    """Cookies of devices that have logged in to an account: `NONCE.PROOF`. A new password makes them invalid."""

    def __init__(self, csrf: Csrf) -> None:
        self._csrf = csrf

    def made(self, account_id: int, password_version: int) -> str:
        """Return a new cookie for this account."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._proof(nonce, account_id, password_version)}"

    def known(self, cookie: str, account_id: int, password_version: int) -> str:
        """Return the nonce of the device, or '' if the cookie is not valid for this account."""
        nonce, _, proof = cookie.partition(".")
        right = self._proof(nonce, account_id, password_version)
        return nonce if hmac.compare_digest(right.encode(), proof.encode("utf-8", "surrogatepass")) else ""

    def _proof(self, nonce: str, account_id: int, password_version: int) -> str:
        return self._csrf.mark("device", f"{account_id}:{password_version}:{nonce}")


class Throttle:
    """Allows `limit` failures per window and address (or known device), and slows down guesses on one account."""

    def __init__(self, database: Database, limit: int, clock: Callable[[], float]) -> None:
        self._database, self._limit, self._clock = database, limit, clock

    def admit(self, address: str, account: str, device: str = "") -> int:
        """Count one attempt; return how many are left. Raises TooManyAttempts, and then counts nothing."""
        # All texts that cannot be a name share the key '', which is no account.
        source, account = source_key(address, device), possible_name(account).lower()
        with self._database.writing() as db:
            # Read the clock under the lock, or it could be behind the times of other attempts.
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
        """Delete the attempts on this account, from this address and device or from all."""
        forgiven = T.account == possible_name(account).lower()
        if address is not None:
            # Only on this account. Otherwise an attacker could reset the limit by logging in to an own account.
            forgiven &= T.address.in_([source_key(address), source_key(address, device)])
        with self._database.writing() as db:
            ATTEMPTS.delete().where(forgiven).execute(db)

    def _free_at(self, db: peewee.Database, mine: Expression) -> float:
        """Return when the next attempt is free, as a time; 0.0 if it is now."""
        latest_first = ATTEMPTS.select(T.at).where(mine).order_by(T.at.desc())
        at: Any = latest_first.offset(self._limit - 1).limit(1).scalar(db)
        return 0.0 if at is None else at + WINDOW_S

    def _next_at(self, db: peewee.Database, source: str, account: str) -> float:
        """Return when an address that has tried this account may try again; 0.0 if it need not wait."""
        on_account = T.account == account
        failures = int(ATTEMPTS.select().where(on_account).count(db))
        if failures < 2 * self._limit or not ATTEMPTS.select(T.id).where(on_account & (T.address == source)).exists(db):
            return 0.0
        last: Any = ATTEMPTS.select(T.at).where(on_account).order_by(T.at.desc()).limit(1).scalar(db)
        return float(last) + min(failures / self._limit, MAX_PACE_S)


def source_key(address: str, device: str = "") -> str:
    """Return the key that attempts are counted under: the device, or else the address (for IPv6 the /64)."""
    if device:
        return f"device {device}"
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return bounded(address, 64)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            # One customer usually has a whole /64 and could use a new address each time.
            return str(ipaddress.ip_network((int(ip), 64), strict=False))
        ip = ip.ipv4_mapped
    return str(ip)
