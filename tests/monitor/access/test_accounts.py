"""People: created, checked at one price, changed, and never left without an admin."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
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
)
from duey.monitor.access.login import passwords
from duey.monitor.access.tokens import Tokens
from tests.monitor.access.conftest import HOME, PASSWORD, of_file
from tests.monitor.conftest import START, Clock

NEW = "staple battery"


# created


def test_an_account_is_found_as_it_was_created(access: Access) -> None:
    account, made = access.accounts.create("ada@example.org", "viewer", PASSWORD)
    assert made is None
    assert (account.name, account.role, account.is_admin) == ("ada@example.org", "viewer", False)
    assert (account.created_at, account.last_login_at) == (START, None)
    assert access.accounts.get("ada@example.org") == account
    assert access.accounts.list() == (account,)
    one, two = (access.accounts.create(name, "admin")[1] for name in ("cleo", "dan"))
    assert one and two and one != two and len(one) == 20
    assert access.accounts.authenticate("cleo", one, HOME), "a made password works"


@of_file
def test_what_cannot_be_created_is_refused(ada: Access) -> None:
    for name in ("", "a" * 65, "a b", "a/b", "é", "a\n", "<b>", "\ud800"):
        with pytest.raises(InvalidInput, match="account name: expected 1 to 64"):
            ada.accounts.create(name, "admin", PASSWORD)
    with pytest.raises(AccountExists, match="'ADA'"):
        ada.accounts.create("ADA", "viewer", PASSWORD)
    for length in (0, 7, 1025):
        for attempt in (
            lambda given: ada.accounts.create("eve", "admin", given),
            lambda given: ada.accounts.set_password("ada", given),
        ):
            with pytest.raises(InvalidInput, match=f"password: expected 8 to 1024 characters, found {length}$"):
                attempt("x" * length)
    for wrong in (lambda: ada.accounts.create("eve", "root", PASSWORD), lambda: ada.accounts.set_role("ada", "root")):
        with pytest.raises(InvalidInput, match="role: expected admin or viewer, found 'root'"):
            wrong()
    assert [(account.name, account.role) for account in ada.accounts.list()] == [("ada", "admin"), ("bob", "viewer")]


@of_file
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
            with pytest.raises(
                InvalidInput, match=r"expected one that is hard to guess.*, found a common one"
            ) as error:
                attempt()
            assert password not in str(error.value).removeprefix("password: ")
    assert here.accounts.list() == ()
    for good in ("correct horse", "passwordless entry", "my dog eats 7 apples", "ß" * 2 + "äöüéà漢字"):
        here.accounts.create(f"n{len(good)}", "viewer", good)


# checked


def test_the_right_password_opens(ada: Access, clock: Clock, scrypts: list[dict[str, Any]]) -> None:
    clock.advance(5)
    account = ada.accounts.authenticate("Ada", PASSWORD, HOME)
    assert account and (account.name, account.last_login_at, len(scrypts)) == ("ada", START + 5, 1)
    ada.accounts.set_password("ada", "caf\u00e9 cr\u00e8me")
    assert ada.accounts.authenticate("ada", "cafe\u0301 cre\u0300me", HOME), "however the device spells it"
    longest = "horse " * 200
    longest = longest[: passwords.MAX_LENGTH - 1] + "!"
    ada.accounts.set_password("ada", longest)
    assert ada.accounts.authenticate("ada", longest, HOME)
    assert ada.accounts.authenticate("ada", longest + "x", HOME) is None, "a longer one does not pass for its beginning"


@of_file
def test_every_refusal_looks_the_same_and_costs_one_scrypt(ada: Access, scrypts: list[dict[str, Any]]) -> None:
    for name, password in (
        ("ada", "wrong horse"), ("ada", ""), ("ada", PASSWORD + " "), ("ada", PASSWORD.upper()), ("eve", PASSWORD),
        ("", PASSWORD), ("ada' OR 1=1 --", PASSWORD), ("ada\x00", PASSWORD), ("\ud800", "\ud800" * 8),
        ("a" * 100_000, "p" * 100_000),
    ):  # fmt: skip
        scrypts.clear()
        assert ada.accounts.authenticate(name, password, HOME) is None, name
        assert [(call["n"], call["r"], call["p"]) for call in scrypts] == [(2, 8, 1)], name
        assert scrypts[0]["length"] <= 4 * passwords.MAX_LENGTH, name
    assert ada.accounts.get("ada").last_login_at is None
    scrypts.clear()
    with pytest.raises(TooManyAttempts):
        ada.accounts.authenticate("ada", PASSWORD, HOME)
    assert scrypts == [], "one that is throttled costs none"


def test_the_true_cost_is_one_that_owasp_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    cost = passwords.COST
    assert cost.r == 8
    assert cost.p >= {17: 1, 16: 2, 15: 3, 14: 5, 13: 10}[int(math.log2(cost.n))]
    stored = passwords.hashed(PASSWORD)
    assert passwords.matches(PASSWORD, stored)
    assert not passwords.matches(PASSWORD + "!", stored)


def test_the_file_holds_no_secret(ada: Access, path: Path) -> None:
    with ada._database.reading() as db:
        hashes = db.execute_sql("SELECT password_salt, password_digest FROM accounts").fetchall()
    assert [len({row[n] for row in hashes}) for n in (0, 1)] == [2, 2], "salted"
    cookie, (_, token) = ada.sessions.start(ada.accounts.get("ada"), "", ""), ada.tokens.create("ci", ["read"])
    for file in path.parent.iterdir():
        held = file.read_bytes()
        assert [each for each in (PASSWORD, cookie, token[4:]) if each.encode() in held] == [], file


def test_a_hash_of_an_old_cost_still_opens_and_is_renewed(
    ada: Access, monkeypatch: pytest.MonkeyPatch, scrypts: list[dict[str, Any]]
) -> None:
    account = ada.accounts.authenticate("ada", PASSWORD, HOME)
    assert account is not None
    cookie = ada.sessions.start(account, HOME, "")
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=4, r=8, p=1))
    for _ in range(2):
        assert ada.accounts.authenticate("ada", PASSWORD, HOME)
    assert [call["n"] for call in scrypts] == [2, 2, 4, 4]
    assert ada.sessions.find(cookie) is not None  # the password is the same


# changed


def test_a_new_password_replaces_the_old_one_and_ends_the_sessions(ada: Access) -> None:
    cookies = [ada.sessions.start(ada.accounts.get("ada"), HOME, "") for _ in range(2)]
    other = ada.sessions.start(ada.accounts.get("bob"), HOME, "")
    for _ in range(10):
        ada.accounts.authenticate("ada", "wrong horse", HOME)
    assert ada.accounts.set_password("ada", NEW) is None
    assert [ada.sessions.find(cookie) for cookie in cookies] == [None, None]
    assert ada.sessions.find(other) is not None
    assert ada.accounts.authenticate("ada", PASSWORD, HOME) is None
    assert ada.accounts.authenticate("ada", NEW, HOME), "also who was throttled"
    made = ada.accounts.set_password("ada")
    assert made and ada.accounts.authenticate("ada", made, HOME)


def test_a_log_in_that_was_under_way_does_not_survive_a_new_password(
    ada: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = passwords.matches

    def meanwhile(password: str, stored: passwords.Hash | None) -> bool:
        ada.accounts.set_password("ada", NEW)
        return real(password, stored)

    monkeypatch.setattr(passwords, "matches", meanwhile)
    assert ada.accounts.authenticate("ada", PASSWORD, HOME) is None


def test_a_session_cannot_start_for_an_account_that_has_changed(ada: Access) -> None:
    def another() -> None:
        ada.accounts.remove("bob")
        ada.accounts.create("bob", "admin", PASSWORD)  # the name's next holder is somebody else

    for change in (another, lambda: ada.accounts.set_password("bob", NEW)):
        bob = ada.accounts.authenticate("bob", PASSWORD, HOME)
        assert bob is not None
        change()
        with pytest.raises(AccountChanged, match="log in again"):
            ada.sessions.start(bob, HOME, "")


def test_a_role_and_a_removal_count_at_once_also_in_open_sessions(ada: Access) -> None:
    bob = ada.accounts.get("bob")
    cookie = ada.sessions.start(bob, HOME, "")
    assert ada.accounts.set_role("bob", "admin").role == "admin"
    session = ada.sessions.find(cookie)
    assert session and session.account.is_admin
    ada.accounts.remove("BOB")
    assert (ada.sessions.find(cookie), ada.sessions.list(bob)) == (None, ())
    assert ada.accounts.authenticate("bob", PASSWORD, HOME) is None
    assert [account.name for account in ada.accounts.list()] == ["ada"]


@of_file
def test_an_unknown_name_is_answered_with_the_nearest(ada: Access) -> None:
    accounts = ada.accounts
    for call, more in (
        (accounts.get, ()), (accounts.set_password, (NEW,)), (accounts.set_role, ("viewer",)), (accounts.remove, ()),
    ):  # fmt: skip
        with pytest.raises(UnknownAccount, match="no account is named 'adda'; did you mean ada\\?"):
            call("adda", *more)


def test_the_last_admin_can_neither_be_removed_nor_demoted(ada: Access) -> None:
    for attempt in (lambda: ada.accounts.remove("ada"), lambda: ada.accounts.set_role("ada", "viewer")):
        with pytest.raises(LastAdmin, match="'ada' is the last admin: make another account admin first"):
            attempt()
    assert ada.accounts.set_role("ada", "admin").is_admin
    ada.accounts.set_role("bob", "admin")
    ada.accounts.set_role("ada", "viewer")
    ada.accounts.remove("ada")
    with pytest.raises(LastAdmin):
        ada.accounts.remove("bob")


# at once


def test_of_many_that_take_a_name_at_once_one_gets_it(access: Access, at_once: Callable[..., list[Any]]) -> None:
    outcomes = at_once(lambda n: access.accounts.create("ada", "admin", f"horse number {n}")[0].name)
    assert Counter(map(type, outcomes)) == {AccountExists: 15, str: 1}


def test_admins_who_remove_or_demote_each_other_at_once_leave_one(
    access: Access, at_once: Callable[..., list[Any]]
) -> None:
    for n in range(16):
        access.accounts.create(f"admin{n}", "admin", PASSWORD)
    access.close()

    def work(n: int) -> None:
        if n % 2:
            access.accounts.remove(f"admin{n}")
        else:
            access.accounts.set_role(f"admin{n}", "viewer")

    assert Counter(type(outcome).__name__ for outcome in at_once(work)) == {"NoneType": 15, "LastAdmin": 1}
    assert sum(account.is_admin for account in access.accounts.list()) == 1


# the first start


def test_the_first_start_opens_every_door_once(access: Access, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Tokens, "create", fail)
        access.first_start()
    assert not access.accounts.exist(), "half a start is none"
    first = access.first_start()
    assert first is not None
    assert first.password not in repr(first) and first.secret not in repr(first)
    account, token = access.accounts.authenticate(first.account, first.password, HOME), access.tokens.find(first.secret)
    assert account and (account.name, account.role) == ("admin", "admin")
    assert token and (token.name, token.scopes) == ("first", {"read", "enqueue", "admin"})
    assert access.first_start() is Access(url).first_start() is None
    assert len(access.accounts.list()) == len(access.tokens.list()) == 1


def test_a_first_start_makes_what_is_missing(access: Access, url: str) -> None:
    access.accounts.create("Admin", "viewer", PASSWORD)
    _, old = access.tokens.create("First", ["read"])
    first = access.first_start()
    assert first is not None
    account = access.accounts.authenticate(first.account, first.password, "")
    assert account and (account.name, account.role) == ("admin-2", "admin")
    assert first.token == "first-2" and access.tokens.find(first.secret) and access.tokens.find(old)
    assert access.first_start() is None
    other = Access(url + "2")
    other.accounts.create("ada", "admin", PASSWORD)
    first = other.first_start()
    assert first and (first.account, first.password) == ("", "") and other.tokens.find(first.secret)
    assert [account.name for account in other.accounts.list()] == ["ada"]
    other.tokens.revoke(first.token)
    assert other.first_start() is None, "a token that was revoked does not come back"


def test_of_many_first_starts_one_succeeds(url: str, at_once: Callable[..., list[Any]]) -> None:
    outcomes = at_once(lambda n: Access(url).first_start())
    (first,) = [outcome for outcome in outcomes if outcome is not None]
    access = Access(url)
    assert access.accounts.authenticate("admin", first.password, "") is not None
    assert access.tokens.find(first.secret) is not None
    assert len(access.accounts.list()) == len(access.tokens.list()) == 1
