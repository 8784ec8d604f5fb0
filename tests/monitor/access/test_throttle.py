"""The throttle: ten failures in a quarter of an hour, by address and by account, and no more by haste."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from monitor.access import Access, TooManyAttempts
from tests.monitor.access.conftest import Clock

HOME = "192.0.2.7"
PASSWORD = "correct horse"
WINDOW_S = 15 * 60


@pytest.fixture
def ada(access: Access) -> Access:
    access.accounts.create("ada", "admin", PASSWORD)
    access.accounts.create("bob", "viewer", PASSWORD)
    return access


def fail(access: Access, times: int, name: str = "ada", address: str = HOME) -> None:
    for _ in range(times):
        assert access.accounts.authenticate(name, "wrong horse", address) is None


def refused(access: Access, name: str = "ada", address: str = HOME) -> int:
    with pytest.raises(TooManyAttempts) as error:
        access.accounts.authenticate(name, PASSWORD, address)
    assert "try again in" in str(error.value)
    return error.value.retry_after_s


def test_an_account_is_guarded_from_all_addresses(ada: Access) -> None:
    for n in range(10):
        fail(ada, 1, address=f"198.51.100.{n}")
    refused(ada, address="203.0.113.1")
    assert ada.accounts.authenticate("bob", PASSWORD, "203.0.113.1")


def test_an_address_is_guarded_for_all_accounts(ada: Access) -> None:
    for n in range(10):
        fail(ada, 1, name=f"user{n}")
    refused(ada, name="bob")
    assert ada.accounts.authenticate("bob", PASSWORD, "203.0.113.1")


def test_an_unknown_account_is_guarded_like_a_known_one(ada: Access) -> None:
    fail(ada, 10, name="nobody")
    assert refused(ada, name="nobody", address="203.0.113.1") == WINDOW_S + 1


def test_the_case_of_letters_gives_no_new_attempts(ada: Access) -> None:
    for n in range(10):
        fail(ada, 1, name="ADA" if n % 2 else "ada", address=f"198.51.100.{n}")
    refused(ada, name="Ada", address="203.0.113.1")


def test_the_window_slides(ada: Access, clock: Clock) -> None:
    fail(ada, 5)
    clock.advance(600)
    fail(ada, 5)
    assert refused(ada) == 301
    clock.advance(299)
    assert refused(ada) == 2
    clock.advance(2)
    fail(ada, 5)  # the first five are forgotten, the next five are not
    assert refused(ada) == 600
    clock.advance(WINDOW_S)
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)


def test_a_refusal_does_not_count(ada: Access, clock: Clock) -> None:
    fail(ada, 10)
    for _ in range(20):
        clock.advance(30)
        refused(ada)
    clock.advance(301)
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)


def test_a_success_forgives_the_person(ada: Access) -> None:
    for _ in range(3):
        fail(ada, 9)
        assert ada.accounts.authenticate("ada", PASSWORD, HOME)


def test_a_success_does_not_forgive_guesses_at_others(ada: Access) -> None:
    fail(ada, 9, name="ada")
    assert ada.accounts.authenticate("bob", PASSWORD, HOME)
    fail(ada, 1, name="ada")
    refused(ada, name="bob")


def test_a_success_does_not_forgive_guesses_from_elsewhere(ada: Access) -> None:
    for n in range(9):
        fail(ada, 1, address=f"198.51.100.{n}")
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)
    fail(ada, 1, address="198.51.100.9")
    refused(ada)


@pytest.mark.parametrize(
    ("address", "neighbour"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1%eth0", "2001:db8::1%eth0"),
        ("", ""),
        ("unix:", "unix:"),
        ("\ud800", "\ud800"),
    ],
)
def test_one_visitor_under_two_addresses(ada: Access, address: str, neighbour: str) -> None:
    for n in range(10):
        fail(ada, 1, name=f"user{n}", address=address)
    refused(ada, address=neighbour)
    assert ada.accounts.authenticate("ada", PASSWORD, "2001:db8:1:3::1")


def test_nonsense_for_a_name_bars_nobody(ada: Access) -> None:
    for n in range(10):
        fail(ada, 1, name=f"not a name {n}", address=f"198.51.100.{n}")
    refused(ada, name="not a name either", address="203.0.113.1")
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)


def test_a_clock_that_was_set_back_bars_nobody_for_long(ada: Access, clock: Clock) -> None:
    clock.advance(365 * 86400)
    fail(ada, 10)
    clock.advance(-365 * 86400)
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)


def test_a_restart_forgives_nothing(ada: Access, url: str, clock: Clock) -> None:
    fail(ada, 10)
    refused(Access(url, clock=clock))


def test_the_limit_is_a_setting(ada: Access, url: str, clock: Clock) -> None:
    strict = Access(url, login_attempts=1, clock=clock)
    fail(strict, 1)
    refused(strict)
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)


def test_nothing_is_kept_beyond_the_window(ada: Access, clock: Clock) -> None:
    fail(ada, 5)
    clock.advance(WINDOW_S)
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)
    with ada._database.reading() as db:
        assert db.execute_sql("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_haste_gains_no_attempt(ada: Access, in_processes: Callable[..., list[Any]]) -> None:
    ada.close()

    def guess(n: int) -> str:
        try:
            return str(ada.accounts.authenticate("ada", f"wrong horse {n}", HOME))
        except TooManyAttempts:
            return "refused"

    assert Counter(in_processes(2, 8, guess)) == {"None": 10, "refused": 6}
