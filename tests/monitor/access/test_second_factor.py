"""The second factor: RFC 6238, enrolment, each code once, recovery codes, limits, and what a stolen file tells."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from duey.monitor.access import (
    Access,
    AccessUnavailable,
    Account,
    AccountChanged,
    KeyLost,
    KeyMissing,
    ProxyAccount,
    TooManyAttempts,
)
from duey.monitor.access.login.second_factor import STEP_S, totp
from tests.monitor.access.conftest import HOME, PASSWORD, of_file
from tests.monitor.conftest import Clock

# RFC 6238, appendix B, the rows of SHA-1: seconds, code of eight digits.
RFC = (
    (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
    (2000000000, "69279037"), (20000000000, "65353130"),
)  # fmt: skip
# RFC 4226, appendix D: codes of six digits for the counters from 0 on.
COUNTERS = ("755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489")


def test_codes_are_those_of_the_rfc() -> None:
    secret = b"12345678901234567890"
    for seconds, code in RFC:
        assert totp(secret, seconds // STEP_S, digits=8) == code
        assert totp(secret, seconds // STEP_S) == code[2:]
    assert tuple(totp(secret, step) for step in range(10)) == COUNTERS


class App:
    """What a phone does with the address of the QR code."""

    def __init__(self, uri: str, clock: Clock) -> None:
        split = urlsplit(uri)
        assert (split.scheme, split.netloc) == ("otpauth", "totp")
        self.label, self.fields, self.clock = split.path, parse_qs(split.query), clock
        self.secret = base64.b32decode(self.fields["secret"][0])

    def code(self, steps: int = 0) -> str:
        return totp(self.secret, int(self.clock.now) // STEP_S + steps)


@pytest.fixture
def enrolled(ada: Access, clock: Clock) -> tuple[App, list[str]]:
    """`ada` has a second factor: her app, and her recovery codes."""
    factors, account = ada.second_factors, ada.accounts.get("ada")
    app = App(factors.begin(account).uri, clock)
    codes = factors.confirm(account, app.code())
    assert codes is not None
    return app, codes


def account_of(access: Access) -> Account:
    return access.accounts.get("ada")


def test_it_counts_once_a_code_has_confirmed_it(ada: Access, clock: Clock) -> None:
    factors = ada.second_factors
    with pytest.raises(AccountChanged):
        factors.confirm(account_of(ada), "123456")
    first = factors.begin(account_of(ada))
    begun = factors.begin(account_of(ada))
    assert factors.begun(account_of(ada)) == begun != first, "begun anew, it replaces what was not confirmed"
    app = App(begun.uri, clock)
    assert app.label == "/Duey:ada" and app.fields["issuer"] == ["Duey"] and begun.secret == app.fields["secret"][0]
    for wrong in ("", "000000", App(first.uri, clock).code(), app.code(2), app.code(-2), app.code() + "0", "é" * 6):
        assert factors.confirm(account_of(ada), wrong) is None, wrong
    assert account_of(ada).second_factor_at is None
    codes = factors.confirm(account_of(ada), f" {app.code()[:3]} {app.code()[3:]} ")
    assert codes is not None and len(set(codes)) == 10
    assert all(re.fullmatch("([a-z2-7]{4}-){3}[a-z2-7]{4}", code) for code in codes)
    assert account_of(ada).second_factor_at == clock.now and factors.begun(account_of(ada)) is None
    with pytest.raises(AccountChanged):
        factors.begin(account_of(ada))
    with pytest.raises(AccountChanged):
        factors.confirm(account_of(ada), app.code(1))


def test_each_code_is_accepted_once_and_no_older_one_after_it(
    ada: Access, enrolled: tuple[App, list[str]], clock: Clock
) -> None:
    app, check = enrolled[0], ada.second_factors.check
    assert check(account_of(ada), app.code(), HOME) == "", "it has confirmed the enrolment"
    assert check(account_of(ada), app.code(1), HOME) == "code", "the phone's clock is ahead"
    assert check(account_of(ada), app.code(1), HOME) == ""
    clock.now += 10 * STEP_S
    assert check(account_of(ada), app.code(), HOME) == "code"
    for steps in (0, -1):
        assert check(account_of(ada), app.code(steps), HOME) == "", "a code that was watched is of no use"
    clock.now += STEP_S
    assert check(account_of(ada), app.code(2), HOME) == ""
    assert check(account_of(ada), app.code(), HOME) == "code"


def test_one_of_many_who_send_the_same_code_at_once_gets_in(
    ada: Access, enrolled: tuple[App, list[str]], clock: Clock, at_once: Callable[..., list[Any]]
) -> None:
    clock.now += STEP_S

    def send(code: str) -> str:
        try:
            return ada.second_factors.check(account_of(ada), code, HOME)
        except TooManyAttempts:
            return "too many"

    code = enrolled[0].code()
    outcomes = at_once(lambda n: send(code))
    assert outcomes.count("code") == 1 and set(outcomes) <= {"", "code", "too many"}
    clock.now += 15 * 60 + 1
    assert at_once(lambda n: send(enrolled[1][0])).count("recovery code") == 1


def test_a_recovery_code_opens_once_and_new_ones_replace_the_old(ada: Access, enrolled: tuple[App, list[str]]) -> None:
    factors, codes = ada.second_factors, enrolled[1]
    assert factors.codes_left(account_of(ada)) == 10
    assert factors.check(account_of(ada), codes[0].upper().replace("-", " "), HOME) == "recovery code"
    assert factors.check(account_of(ada), codes[0], HOME) == "" and factors.codes_left(account_of(ada)) == 9
    assert factors.check(ada.accounts.get("bob"), codes[1], HOME) == "", "it is another account's"
    renewed = factors.renew_codes(account_of(ada))
    assert not set(renewed) & set(codes) and factors.codes_left(account_of(ada)) == 10
    assert factors.check(account_of(ada), codes[1], HOME) == ""
    assert factors.check(account_of(ada), renewed[9], HOME) == "recovery code"


@of_file
def test_guesses_are_limited_by_account_whatever_the_address(
    ada: Access, enrolled: tuple[App, list[str]], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    app, check = enrolled[0], ada.second_factors.check
    clock.now += STEP_S
    for n in range(10):
        assert check(account_of(ada), f"00000{n}", f"198.51.100.{n}") == ""
    for code in (app.code(), enrolled[1][0], "000000"):
        with pytest.raises(TooManyAttempts):
            check(account_of(ada), code, "203.0.113.1")
    events = [record.getMessage().split()[0] for record in caplog.records]
    assert events == ["second-factor-failed"] * 10 + ["lock-out"] + ["second-factor-throttled"] * 3
    clock.now += 15 * 60 + 1
    assert check(account_of(ada), app.code(), HOME) == "code"


@of_file
def test_no_stranger_slows_down_somebody_who_mistypes_a_code(
    ada: Access, enrolled: tuple[App, list[str]], clock: Clock
) -> None:
    clock.now += STEP_S
    owner = account_of(ada)
    assert ada.second_factors.check(owner, "000000", HOME) == ""
    for n in range(21):
        ada.accounts.authenticate(f"second-factor-{owner.id}", "wrong", f"198.51.100.{n}")
    assert ada.second_factors.check(owner, enrolled[0].code(), HOME) == "code"


def test_the_right_password_alone_takes_no_failure_back(ada: Access, enrolled: tuple[App, list[str]]) -> None:
    for _ in range(9):
        ada.accounts.authenticate("ada", "wrong", HOME)
    account = ada.accounts.authenticate("ada", PASSWORD, HOME)
    assert account is not None and account.second_factor_at is not None and account.last_login_at is None
    with pytest.raises(TooManyAttempts):
        ada.accounts.authenticate("ada", PASSWORD, HOME)
    ada.accounts.complete(account, HOME, "")
    assert account_of(ada).last_login_at is not None
    for _ in range(20):
        assert ada.accounts.authenticate("ada", PASSWORD, HOME, has_session=True)


def test_a_stolen_database_tells_neither_secret_nor_codes(
    ada: Access, enrolled: tuple[App, list[str]], path: Path
) -> None:
    key = ada.second_factors.key_file
    assert key == path.with_name("access.key") and key.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.glob("*.key*")] == ["access.key"]
    with closing(sqlite3.connect(path)) as con:
        stolen = "\n".join(con.iterdump()).lower()
    app, codes = enrolled
    for secret in (app.secret, key.read_bytes(), *(code.replace("-", "").encode() for code in codes)):
        assert secret.hex() not in stolen and secret.decode("latin-1").lower() not in stolen
    assert base64.b32encode(app.secret).decode().lower() not in stolen


def test_without_its_key_only_recovery_codes_open(
    ada: Access, enrolled: tuple[App, list[str]], path: Path, clock: Clock
) -> None:
    (app, codes), key = enrolled, ada.second_factors.key_file
    clock.now += STEP_S
    kept = key.read_bytes()
    for content in (None, b"another key"):
        key.unlink()
        if content:
            key.write_bytes(content)
        with pytest.raises(KeyLost, match="duey user reset-totp ada"):
            ada.second_factors.check(account_of(ada), app.code(), HOME)
        assert ada.second_factors.check(account_of(ada), codes.pop(), HOME) == "recovery code"
        key.write_bytes(kept)
    assert ada.second_factors.check(account_of(ada), app.code(), HOME) == "code"
    configured = Access(f"sqlite:///{path}", clock=clock, totp_key="from config.ini" * 3).second_factors
    with pytest.raises(KeyLost):
        configured.check(account_of(ada), app.code(), HOME)
    assert App(configured.begin(ada.accounts.get("bob")).uri, clock).secret != app.secret


def test_no_secret_is_made_without_a_whole_key(ada: Access, clock: Clock, path: Path) -> None:
    factors = ada.second_factors
    for content in (b"", bytes(31)):  # as a full disk or a bad copy leaves it
        factors.key_file.write_bytes(content)
        with pytest.raises(AccessUnavailable, match=r"access\.key beside it, which is not whole: restore"):
            factors.begin(account_of(ada))
    factors.key_file.unlink()
    app = App(factors.begin(account_of(ada)).uri, clock)
    factors.key_file.write_bytes(b"")
    with pytest.raises(KeyLost):
        factors.confirm(account_of(ada), app.code())
    assert factors.mark("1.1.1") != Access(f"sqlite:///{path}").second_factors.mark("1.1.1")


def test_it_is_turned_off_with_all_that_belongs_to_it(ada: Access, enrolled: tuple[App, list[str]]) -> None:
    factors, cookie = ada.second_factors, ada.sessions.start(account_of(ada), HOME, "")
    assert factors.remove(account_of(ada)) and ada.sessions.find(cookie)
    assert account_of(ada).second_factor_at is None and factors.codes_left(account_of(ada)) == 0
    assert factors.check(account_of(ada), enrolled[1][0], HOME) == ""
    assert not factors.remove(account_of(ada), ends_sessions=True) and ada.sessions.find(cookie)
    factors.begin(account_of(ada))
    ada.accounts.create("cy", "admin", PASSWORD)
    ada.accounts.remove("ada")
    with ada._database.reading() as db:
        assert db.execute_sql("SELECT count(*) FROM second_factors").fetchone() == (0,)


@of_file
def test_accounts_of_the_proxy_have_theirs_there(ada: Access) -> None:
    account = ada.proxy_users.visit("cy", "", HOME, "")[1].account
    with pytest.raises(ProxyAccount):
        ada.second_factors.begin(account)


def test_many_who_begin_at_once_make_one_key(access: Access, at_once: Callable[..., list[Any]]) -> None:
    for n in range(16):
        access.accounts.create(f"a{n}", "admin", PASSWORD)
    assert not [
        each
        for each in at_once(lambda n: access.second_factors.begin(access.accounts.get(f"a{n}")))
        if isinstance(each, Exception)
    ]
    with access._database.reading() as db:
        assert db.execute_sql("SELECT count(distinct key_mark) FROM second_factors").fetchone() == (1,)
    if file := access.second_factors.key_file:
        assert len(file.read_bytes()) == 32


def test_webs_that_share_a_server_need_a_key_in_their_settings(postgres: str, clock: Clock) -> None:
    access = Access(postgres, clock=clock)
    access.accounts.create("ada", "admin", PASSWORD)
    with pytest.raises(KeyMissing, match=r"ask the operator to set \[auth\] totp_key, the same at every web"):
        access.second_factors.begin(account_of(access))
