"""The throttle: ten failures in a quarter of an hour from an address, and nobody is locked out by another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from duey.monitor.access import Access, TooManyAttempts
from tests.monitor.access.conftest import HOME, PASSWORD, of_file
from tests.monitor.conftest import Clock

WINDOW_S = 15 * 60


def fail(access: Access, times: int, name: str = "ada", address: str = HOME) -> None:
    for _ in range(times):
        assert access.accounts.authenticate(name, "wrong horse", address) is None


def refused(access: Access, name: str = "ada", address: str = HOME) -> int:
    with pytest.raises(TooManyAttempts) as error:
        access.accounts.authenticate(name, PASSWORD, address)
    assert "try again in" in str(error.value)
    return error.value.retry_after_s


def fail_from_many(access: Access, times: int, name: str = "ada") -> None:
    for n in range(times):
        fail(access, 1, name=name, address=f"198.51.{n // 250}.{n % 250}")


def opens(access: Access, name: str = "ada", address: str = HOME) -> bool:
    return access.accounts.authenticate(name, PASSWORD, address) is not None


def test_a_stranger_locks_nobody_out(ada: Access, clock: Clock) -> None:
    for _ in range(2):
        fail(ada, 10, address="203.0.113.66")
        refused(ada, address="203.0.113.66")
        assert opens(ada)
        clock.advance(WINDOW_S)
    fail_from_many(ada, 50)
    assert opens(ada)
    for n in range(25):
        fail(ada, 1, name=f"not a name {n}", address=f"203.0.113.{n}")
    refused(ada, name="not a name either", address="203.0.113.1")
    assert opens(ada, address="203.0.113.1"), "nonsense for a name bars nobody"


def test_an_account_that_many_guess_at_has_a_pace(ada: Access, clock: Clock, url: str) -> None:
    """Its first attempt is open to each address; then they share a pace, which slows with their number."""
    for name in ("ada", "nobody"):  # an unknown account does not show by its pace
        fail_from_many(ada, 18, name)
        fail(ada, 2, name)
        assert refused(ada, name) == 3
        clock.advance(2.1)
        fail(ada, 1, name)
        assert refused(ada, name.upper(), address="198.51.0.3") == 3
        assert opens(ada, "bob")
        clock.advance(WINDOW_S)
    if not url.startswith("sqlite:"):
        return  # what follows are more attempts, which take their time there
    fail_from_many(ada, 310)
    assert refused(ada, address="198.51.0.3") == 31
    clock.advance(31)
    assert opens(ada, address="198.51.0.3")


def test_a_device_that_has_logged_in_is_not_held_up(ada: Access, clock: Clock) -> None:
    def enter(password: str, address: str = HOME, name: str = "ada") -> str:
        try:
            found = ada.accounts.authenticate(name, password, address, cookie)
        except TooManyAttempts:
            return "wait"
        return found.name if found else "wrong"

    account = ada.accounts.authenticate("ada", PASSWORD, HOME)
    assert account
    cookie = ada.accounts.device_cookie(account)
    fail(ada, 10)
    fail_from_many(ada, 30)
    assert refused(ada) > 600
    assert enter(PASSWORD) == enter(PASSWORD, "198.51.0.3") == "ada"
    assert enter(PASSWORD, name="bob") == "bob"  # his device is unknown to bob, whose limit of HOME is redeemed
    fail(ada, 10, "nobody", address="203.0.113.5")
    assert enter(PASSWORD, "203.0.113.5", "bob") == "wait"
    # It has as many attempts as an address has, wherever it goes.
    assert [enter("wrong", f"203.0.113.{n}") for n in range(11)] == ["wrong"] * 10 + ["wait"]
    assert enter(PASSWORD, "203.0.113.77") == "wait"
    clock.advance(WINDOW_S)
    fail(ada, 10)
    for forged in (cookie[:-1], "x" + cookie, cookie.partition(".")[0], ".", "", "\ud800.\ud800"):
        with pytest.raises(TooManyAttempts):
            ada.accounts.authenticate("ada", PASSWORD, HOME, forged)
    clock.advance(WINDOW_S)
    ada.accounts.set_password("ada", PASSWORD)  # whoever had the old password may have this cookie
    fail(ada, 10)
    assert enter(PASSWORD) == "wait"


@of_file
def test_a_lock_out_is_in_the_audit_once_and_every_event_in_the_security_log(
    ada: Access, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "duey.security")
    assert opens(ada)
    fail(ada, 9)
    fail(ada, 1, name="hunter2 my password")
    refused(ada)
    refused(ada)
    lines = [(line.action, line.who, line.source, line.address, line.target) for line in ada.audit.page()]
    assert lines == [("lock out", "", "web", HOME, HOME)]
    assert [record.getMessage() for record in caplog.records] == [
        f"login-succeeded address={HOME} who=ada",
        *[f"login-failed address={HOME} who=ada"] * 9,
        f"login-failed address={HOME} who=-",
        f"lock-out address={HOME} who=-",
        *[f"login-throttled address={HOME} who=ada"] * 2,
    ]


def test_the_window_slides_and_nothing_is_kept_beyond_it(ada: Access, clock: Clock) -> None:
    fail(ada, 5)
    clock.advance(600)
    fail(ada, 5)
    assert refused(ada) == 301
    clock.advance(299)
    assert refused(ada) == 2
    clock.advance(2)
    fail(ada, 5)  # the first five are forgotten, the next five are not
    assert refused(ada) == 600
    for _ in range(2):
        clock.advance(290)
        refused(ada)
    clock.advance(21)
    assert opens(ada), "a refusal does not count"
    fail(ada, 5)
    clock.advance(WINDOW_S)
    assert opens(ada, "bob")
    with ada._database.reading() as db:
        assert db.execute_sql("SELECT count(*) FROM attempts").fetchone() == (0,)
    clock.advance(365 * 86400)
    fail(ada, 10)
    clock.advance(-365 * 86400)
    assert opens(ada), "a clock that was set back bars nobody for long"


def test_a_success_forgives_the_person_and_nobody_else(ada: Access, clock: Clock) -> None:
    for _ in range(2):
        fail(ada, 9)
        assert opens(ada)
    fail(ada, 9)
    assert opens(ada, "bob")
    fail(ada, 1)
    refused(ada, name="bob")  # guesses at others
    clock.advance(WINDOW_S)
    fail_from_many(ada, 25)
    assert opens(ada)
    fail(ada, 1)
    refused(ada)  # guesses from elsewhere


@of_file
def test_an_address_is_guarded_for_all_accounts(ada: Access) -> None:
    for address, neighbour in (
        (HOME, HOME), ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8::1%eth0", "2001:db8::1%eth0"), ("", ""), ("unix:", "unix:"), ("\ud800", "\ud800"),
    ):  # fmt: skip
        for n in range(10):
            fail(ada, 1, name=f"user{n}", address=address)
        refused(ada, name="bob", address=neighbour)
        assert opens(ada, "bob", "2001:db8:1:3::1"), address


def test_a_restart_forgives_nothing_and_the_limit_is_a_setting(ada: Access, url: str, clock: Clock) -> None:
    fail(ada, 1)
    refused(Access(url, login_attempts=1, clock=clock))
    assert opens(ada)


def test_haste_gains_no_attempt(ada: Access, at_once: Callable[..., list[Any]]) -> None:
    ada.close()

    def guess(n: int) -> str:
        try:
            return str(ada.accounts.authenticate("ada", f"wrong horse {n}", HOME))
        except TooManyAttempts:
            return "refused"

    assert Counter(at_once(guess)) == {"None": 10, "refused": 6}
