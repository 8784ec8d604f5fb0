"""People: created, checked at one price, changed, and never left without an admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from duey.monitor.access import (
    Access,
    AccountChanged,
    AccountExists,
    InvalidInput,
    LastAdmin,
    TooManyAttempts,
    UnknownAccount,
    passwords,
)
from tests.monitor.access.conftest import START
from tests.support import rows

PASSWORD = "correct horse"
HOME = "192.0.2.7"


@pytest.fixture
def ada(access: Access) -> Access:
    access.accounts.create("ada", "admin", PASSWORD)
    return access


# created


def test_an_account_with_a_given_password(access: Access) -> None:
    account, made = access.accounts.create("ada@example.org", "viewer", PASSWORD)
    assert made is None
    assert (account.name, account.role, account.is_admin) == ("ada@example.org", "viewer", False)
    assert (account.created_at, account.last_login_at) == (START, None)
    assert access.accounts.get("ada@example.org") == account
    assert access.accounts.list() == (account,)


def test_a_made_password_is_long_new_and_works(access: Access) -> None:
    _, one = access.accounts.create("ada", "admin")
    _, two = access.accounts.create("bob", "admin")
    assert one is not None
    assert two is not None
    assert one != two
    assert len(one) == 20
    assert access.accounts.authenticate("ada", one, HOME) is not None


def test_a_name_is_taken_whatever_the_case_of_its_letters(ada: Access) -> None:
    with pytest.raises(AccountExists, match="'ADA'"):
        ada.accounts.create("ADA", "viewer", PASSWORD)
    assert [account.role for account in ada.accounts.list()] == ["admin"]


def test_of_many_that_take_a_name_at_once_one_gets_it(access: Access, in_processes: Callable[..., list[Any]]) -> None:
    outcomes = in_processes(2, 4, lambda n: access.accounts.create("ada", "admin", f"horse number {n}")[0].name)
    assert sorted(map(type, outcomes), key=str) == [AccountExists] * 7 + [str]


@rows("name", ["", "a" * 65, "a b", "a/b", "é", "a\n", "<b>", "\ud800"])
def test_a_bad_name_is_refused(access: Access, name: str) -> None:
    with pytest.raises(InvalidInput, match="account name: expected 1 to 64"):
        access.accounts.create(name, "admin", PASSWORD)
    assert not access.accounts.exist()


@pytest.mark.parametrize("length", [0, 7, 1025])
def test_a_bad_password_is_refused_and_not_shown(ada: Access, length: int) -> None:
    for attempt in (
        lambda: ada.accounts.create("bob", "admin", "x" * length),
        lambda: ada.accounts.set_password("ada", "x" * length),
    ):
        with pytest.raises(InvalidInput, match=f"password: expected 8 to 1024 characters, found {length}$"):
            attempt()


def test_a_bad_role_is_refused(ada: Access) -> None:
    with pytest.raises(InvalidInput, match="role: expected admin or viewer, found 'root'"):
        ada.accounts.create("bob", "root", PASSWORD)
    with pytest.raises(InvalidInput, match="role"):
        ada.accounts.set_role("ada", "root")


# changed


def test_a_new_password_replaces_the_old_one_and_ends_the_sessions(ada: Access) -> None:
    bob, _ = ada.accounts.create("bob", "viewer", PASSWORD)
    cookies = [ada.sessions.start(ada.accounts.get("ada"), HOME, "") for _ in range(2)]
    other = ada.sessions.start(bob, HOME, "")
    assert ada.accounts.set_password("ada", "staple battery") is None
    assert [ada.sessions.find(cookie) for cookie in cookies] == [None, None]
    assert ada.sessions.find(other) is not None
    assert ada.accounts.authenticate("ada", PASSWORD, HOME) is None
    assert ada.accounts.authenticate("ada", "staple battery", HOME) is not None


def test_a_new_password_can_be_made(ada: Access) -> None:
    made = ada.accounts.set_password("ada")
    assert made is not None
    assert ada.accounts.authenticate("ada", made, HOME)


def test_a_new_password_lets_a_throttled_person_in(ada: Access) -> None:
    for _ in range(10):
        ada.accounts.authenticate("ada", "wrong horse", HOME)
    with pytest.raises(TooManyAttempts):
        ada.accounts.authenticate("ada", PASSWORD, HOME)
    ada.accounts.set_password("ada", "staple battery")
    assert ada.accounts.authenticate("ada", "staple battery", HOME)


def test_a_log_in_that_was_under_way_does_not_survive_a_new_password(
    ada: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = passwords.matches

    def meanwhile(password: str, stored: passwords.Hash | None) -> bool:
        ada.accounts.set_password("ada", "staple battery")
        return real(password, stored)

    monkeypatch.setattr(passwords, "matches", meanwhile)
    assert ada.accounts.authenticate("ada", PASSWORD, HOME) is None


@pytest.mark.parametrize("change", ["password", "removal"])
def test_a_session_cannot_start_for_an_account_that_has_changed(ada: Access, change: str) -> None:
    ada.accounts.create("bob", "viewer", PASSWORD)
    bob = ada.accounts.authenticate("bob", PASSWORD, HOME)
    assert bob is not None
    if change == "password":
        ada.accounts.set_password("bob", "staple battery")
    else:
        ada.accounts.remove("bob")
        ada.accounts.create("bob", "admin", PASSWORD)  # the name's next holder is somebody else
    with pytest.raises(AccountChanged, match="log in again"):
        ada.sessions.start(bob, HOME, "")


def test_a_role_counts_at_once_also_in_open_sessions(ada: Access) -> None:
    bob, _ = ada.accounts.create("bob", "admin", PASSWORD)
    cookie = ada.sessions.start(bob, HOME, "")
    assert ada.accounts.set_role("bob", "viewer").role == "viewer"
    session = ada.sessions.find(cookie)
    assert session is not None
    assert not session.account.is_admin


def test_a_removed_account_is_gone_with_its_sessions(ada: Access) -> None:
    bob, _ = ada.accounts.create("bob", "admin", PASSWORD)
    cookie = ada.sessions.start(bob, HOME, "")
    ada.accounts.remove("BOB")
    assert ada.sessions.find(cookie) is None
    assert ada.sessions.list(bob) == ()
    assert ada.accounts.authenticate("bob", PASSWORD, HOME) is None
    assert [account.name for account in ada.accounts.list()] == ["ada"]


def test_an_unknown_name_is_answered_with_the_nearest(ada: Access) -> None:
    for attempt in (
        lambda: ada.accounts.get("adda"),
        lambda: ada.accounts.set_password("adda", PASSWORD),
        lambda: ada.accounts.set_role("adda", "viewer"),
        lambda: ada.accounts.remove("adda"),
    ):
        with pytest.raises(UnknownAccount, match="no account is named 'adda'; did you mean ada\\?"):
            attempt()


# the last admin


def test_the_last_admin_can_neither_be_removed_nor_demoted(ada: Access) -> None:
    ada.accounts.create("bob", "viewer", PASSWORD)
    for attempt in (lambda: ada.accounts.remove("ada"), lambda: ada.accounts.set_role("ada", "viewer")):
        with pytest.raises(LastAdmin, match="'ada' is the last admin: make another account admin first"):
            attempt()
    assert ada.accounts.set_role("ada", "admin").is_admin
    ada.accounts.remove("bob")


def test_a_second_admin_frees_the_first(ada: Access) -> None:
    ada.accounts.create("bob", "viewer", PASSWORD)
    ada.accounts.set_role("bob", "admin")
    ada.accounts.set_role("ada", "viewer")
    ada.accounts.remove("ada")
    with pytest.raises(LastAdmin):
        ada.accounts.remove("bob")


@pytest.mark.parametrize("verb", ["remove", "demote"])
def test_admins_who_remove_each_other_at_once_leave_one(
    access: Access, in_processes: Callable[..., list[Any]], verb: str
) -> None:
    for n in range(8):
        access.accounts.create(f"admin{n}", "admin", PASSWORD)
    access.close()

    def work(n: int) -> Any:
        if verb == "remove":
            return access.accounts.remove(f"admin{n}")
        access.accounts.set_role(f"admin{n}", "viewer")
        return None

    outcomes = in_processes(2, 4, work)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastAdmin"] + ["NoneType"] * 7
    assert sum(account.is_admin for account in access.accounts.list()) == 1


def test_a_password_that_thousands_have_is_refused(access: Access, url: str) -> None:
    refused = (
        "password", "Password1!", "PASSWORD123", "12345678", "iloveyou", "qwertyuiop", "1q2w3e4r", "letmein!!",
        "aaaaaaaa", "1qaz2wsx", "ada.lovelace", "Ada.Lovelace1", "2026Ada.Lovelace", "ｐａｓｓｗｏｒｄ", "Staging Co",
        "staging co 2026", "duey2026", "..duey..",
    )  # fmt: skip
    here = Access(url, service="Staging Co")
    for password in refused:
        for attempt in (
            lambda password=password: here.accounts.create("ada.lovelace", "admin", password),
            lambda password=password: here.accounts.set_password("ada.lovelace", password),
        ):
            with pytest.raises(InvalidInput, match=r"expected one that nobody guesses.*, found a common one") as error:
                attempt()
            assert password not in str(error.value).removeprefix("password: ")
    assert here.accounts.list() == ()
    for good in ("correct horse", "passwordless entry", "my dog eats 7 apples", "ß" * 2 + "äöüéà漢字"):
        here.accounts.create(f"n{len(good)}", "viewer", good)
