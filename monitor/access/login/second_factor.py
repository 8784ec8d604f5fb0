"""The second factor of accounts with a password: codes of an app (TOTP, RFC 6238), and recovery codes.

`begin` makes a new secret, which the page shows once. `confirm`, with a code of the app, turns it on and returns the
recovery codes, which are shown once. From then on a log-in asks for a code after the password (`check`). Each code is
accepted once: the number of its 30 seconds is stored, and only a later one is accepted. A recovery code is deleted when
it is used. `remove` turns it off.

The secret is in no file: it is the HMAC of a stored nonce with a key, which is kept outside of the database, in
`[auth] totp_key` or in a file beside it (`access.key`). So a stolen copy of access.db holds no second factor. If the
key is lost, recovery codes still work, of which only hashes are stored; they have 80 random bits.

Process deaths: the key is on the disk before a row refers to it. `confirm`, `check` and `remove` are one transaction
each, so a code that was accepted stays used, whatever comes after it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import peewee

from duey import files as config_files
from duey.monitor.access import security
from duey.monitor.access.accounts import A, Account
from duey.monitor.access.database import Database
from duey.monitor.access.errors import (
    AccessUnavailable,
    AccountChanged,
    KeyLost,
    KeyMissing,
    ProxyAccount,
    TooManyAttempts,
)
from duey.monitor.access.login.throttle import Throttle
from duey.monitor.access.schema import ACCOUNTS, RECOVERY_CODES, SECOND_FACTORS, SESSIONS

STEP_S, DIGITS = 30, 6  # what every app assumes
DRIFT_STEPS = 1  # clocks of phones differ: the code before and the code after are accepted, too
SECRET_BYTES, KEY_BYTES = 20, 32
RECOVERY_CODES_MADE, RECOVERY_BYTES = 10, 10

F, R = SECOND_FACTORS.c, RECOVERY_CODES.c


def totp(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """Return the code of RFC 6238 (HMAC-SHA-1) for a step, which is the time in units of STEP_S."""
    mac = hmac.new(secret, struct.pack(">Q", step), hashlib.sha1).digest()
    at = mac[-1] & 0xF
    number = struct.unpack(">I", mac[at : at + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}d}"


@dataclass(frozen=True)
class Enrolment:
    """What an app needs to make codes: shown once."""

    secret: str = field(repr=False)  # base32
    uri: str = field(repr=False)  # otpauth://, as a QR code


class SecondFactors:
    """The second factors of all accounts. `issuer` is the name of the service in the app.

    `key` is `[auth] totp_key`, or '' for the file beside the database. Methods raise AccessUnavailable.
    """

    def __init__(
        self, database: Database, throttle: Throttle, clock: Callable[[], float], issuer: str, key: str
    ) -> None:
        self._database, self._throttle, self._clock = database, throttle, clock
        self._issuer, self._given_key = issuer, key
        self._own_key = secrets.token_bytes(KEY_BYTES)  # of this process
        self.key_file = database.key_file

    def begin(self, account: Account) -> Enrolment:
        """Make a secret, which counts once it is confirmed. It replaces one that was not. Raises ProxyAccount,
        AccountChanged if there is a confirmed one, and KeyMissing."""
        if not account.is_local:
            raise ProxyAccount(account.name)
        key, nonce = self._key(make=True), secrets.token_bytes(KEY_BYTES)
        if not key:
            if self.key_file is None:
                raise KeyMissing
            reason = f"needs the file {self.key_file.name} beside it, which is not whole"
            raise AccessUnavailable(self._database.place, f"{reason}: restore it, or remove it to have one made")
        row = dict(nonce=nonce, key_mark=_mark(key), last_step=0, created_at=self._clock())
        with self._database.writing() as db:
            if _is_on(db, account):
                raise AccountChanged(account.name)
            SECOND_FACTORS.insert(account_id=account.id, **row).on_conflict(
                conflict_target=[F.account_id], update={getattr(F, name): value for name, value in row.items()}
            ).execute(db)
        return self._enrolment(account, _secret(key, nonce))

    def begun(self, account: Account) -> Enrolment | None:
        """Return what `begin` made, while it is not confirmed. Raises KeyLost."""
        with self._database.reading() as db:
            row = SECOND_FACTORS.select(F.nonce, F.key_mark).where(F.account_id == account.id).get(db)
        if row is None or account.second_factor_at is not None:
            return None
        return self._enrolment(account, self._secret_of(row, account))

    def confirm(self, account: Account, code: str) -> list[str] | None:
        """Turn the begun second factor on; return the recovery codes, or None if the code is wrong. Raises KeyLost,
        AccountChanged if there is nothing to confirm."""
        with self._database.writing() as db:
            row = SECOND_FACTORS.select().where(F.account_id == account.id).get(db)
            if row is None or _is_on(db, account):
                raise AccountChanged(account.name)
            if not self._accepts(db, account, row, code):
                return None
            ACCOUNTS.update(second_factor_at=self._clock()).where(A.id == account.id).execute(db)
            return _new_codes(db, account)

    def renew_codes(self, account: Account) -> list[str]:
        """Return new recovery codes; the old ones are refused from now on. Raises AccountChanged."""
        with self._database.writing() as db:
            if not _is_on(db, account):
                raise AccountChanged(account.name)
            return _new_codes(db, account)

    def codes_left(self, account: Account) -> int:
        """Return how many recovery codes are not used."""
        with self._database.reading() as db:
            return int(RECOVERY_CODES.select().where(R.account_id == account.id).count(db))

    def check(self, account: Account, code: str, address: str) -> str:
        """Return "code" or "recovery code" for what was accepted, and '' for a wrong one.

        Counted for the account alone, whatever the address, as only someone with the password comes here. Raises
        TooManyAttempts, and KeyLost for a code of an app.
        """
        source = f"second factor {account.id}"  # a device of no browser: no name that is tried counts for it
        try:
            left = self._throttle.admit("", "", source)
        except TooManyAttempts:
            security.note(security.SECOND_FACTOR_THROTTLED, address, account.name)
            raise
        with self._database.writing() as db:
            found = self._checked(db, account, code)
        if found:
            self._throttle.forgive("", "", source)
            security.note(security.LOGIN_SUCCEEDED, address, account.name, factor=found)
        else:
            security.note(security.SECOND_FACTOR_FAILED, address, account.name)
            if left == 0:
                security.note(security.LOCK_OUT, address, account.name)
        return found

    def mark(self, text: str) -> str:
        """Return the HMAC (64 hex digits) of a text, which nobody can make from access.db alone. Without the key it is
        one of this process."""
        return hmac.new(self._key() or self._own_key, f"pending:{text}".encode(), hashlib.sha256).hexdigest()

    def remove(self, account: Account, ends_sessions: bool = False) -> bool:
        """Turn the second factor off; return False if it is off. `ends_sessions`: the phone may be in other hands."""
        with self._database.writing() as db:
            was_on = _is_on(db, account)
            SECOND_FACTORS.delete().where(F.account_id == account.id).execute(db)
            RECOVERY_CODES.delete().where(R.account_id == account.id).execute(db)
            ACCOUNTS.update(second_factor_at=None).where(A.id == account.id).execute(db)
            if ends_sessions and was_on:
                SESSIONS.delete().where(SESSIONS.c.account_id == account.id).execute(db)
            return was_on

    # codes

    def _checked(self, db: peewee.Database, account: Account, code: str) -> str:
        plain = re.sub(r"[\s-]", "", code).lower()
        if len(plain) == DIGITS and plain.isascii() and plain.isdigit():
            row = SECOND_FACTORS.select().where(F.account_id == account.id).get(db)
            return "code" if row is not None and self._accepts(db, account, row, plain) else ""
        mine = (R.account_id == account.id) & (R.digest == _digest(plain))
        return "recovery code" if RECOVERY_CODES.delete().where(mine).execute(db) else ""

    def _accepts(self, db: peewee.Database, account: Account, row: dict[str, Any], code: str) -> bool:
        secret, now = self._secret_of(row, account), int(self._clock()) // STEP_S
        given = re.sub(r"\s", "", code).encode("utf-8", "surrogatepass")
        for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
            if hmac.compare_digest(totp(secret, step).encode(), given):
                # The condition, not a look beforehand, keeps one code from being accepted twice.
                later = (F.account_id == account.id) & (F.last_step < step)
                return bool(SECOND_FACTORS.update(last_step=step).where(later).execute(db))
        return False

    # secrets

    def _enrolment(self, account: Account, secret: bytes) -> Enrolment:
        shown = base64.b32encode(secret).decode()
        issuer = quote(self._issuer, safe="")
        label = f"{issuer}:{quote(account.name, safe='@')}"
        return Enrolment(shown, f"otpauth://totp/{label}?secret={shown}&issuer={issuer}")

    def _secret_of(self, row: dict[str, Any], account: Account) -> bytes:
        key = self._key()
        if not key or not hmac.compare_digest(_mark(key), bytes(row["key_mark"])):
            raise KeyLost(account.name)
        return _secret(key, bytes(row["nonce"]))

    def _key(self, make: bool = False) -> bytes:
        """Return the key; b"" if there is none, or its file is not whole. `make` makes the file."""
        if self._given_key:
            return self._given_key.encode()
        if (file := self.key_file) is None:
            return b""
        try:
            if make and not file.exists():
                _make_key_file(file)
            key = file.read_bytes()
            return key if len(key) >= KEY_BYTES else b""
        except FileNotFoundError:
            return b""
        except OSError as error:
            reason = f"needs the file {file.name} beside it, which cannot be used ({error.strerror})"
            raise AccessUnavailable(self._database.place, f"{reason}: let this process read and write it") from None


def _make_key_file(file: Path) -> None:
    # Written aside and linked: another process sees the whole key or none, and only the first of two makes it.
    # Of this call alone: another one that wrote into it would write into the linked key.
    aside = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    config_files.make_file(aside)
    try:
        aside.write_bytes(secrets.token_bytes(KEY_BYTES))
        config_files.sync(aside)
        with contextlib.suppress(FileExistsError):
            os.link(aside, file)
        config_files.sync(file.parent)
    finally:
        aside.unlink()


def _is_on(db: peewee.Database, account: Account) -> bool:
    return bool(ACCOUNTS.select(A.id).where((A.id == account.id) & A.second_factor_at.is_null(False)).exists(db))


def _new_codes(db: peewee.Database, account: Account) -> list[str]:
    made = [base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES_MADE)]
    RECOVERY_CODES.delete().where(R.account_id == account.id).execute(db)
    RECOVERY_CODES.insert([{R.digest: _digest(each), R.account_id: account.id} for each in made]).execute(db)
    return ["-".join(re.findall("....", each)) for each in made]


def _secret(key: bytes, nonce: bytes) -> bytes:
    return hmac.new(key, b"totp:" + nonce, hashlib.sha256).digest()[:SECRET_BYTES]


def _mark(key: bytes) -> bytes:
    """Tells whether it is the same key, and nothing of the key itself."""
    return hmac.new(key, b"mark", hashlib.sha256).digest()[:8]


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
