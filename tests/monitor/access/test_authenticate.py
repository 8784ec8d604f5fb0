"""Log-ins: the right password opens, and every refusal looks the same and costs the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access, TooManyAttempts, passwords
from tests.monitor.access.conftest import START, Clock

PASSWORD = "correct horse"
HOME = "192.0.2.7"


@pytest.fixture
def ada(access: Access) -> Access:
    access.accounts.create("ada", "admin", PASSWORD)
    return access


def test_the_right_password_opens(ada: Access, clock: Clock) -> None:
    clock.advance(5)
    account = ada.accounts.authenticate("Ada", PASSWORD, HOME)
    assert account is not None
    assert (account.name, account.last_login_at) == ("ada", START + 5)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong horse"),
        ("ada", ""),
        ("ada", PASSWORD + " "),
        ("ada", PASSWORD.upper()),
        ("bob", PASSWORD),
        ("", PASSWORD),
        ("ada' OR 1=1 --", PASSWORD),
        ("ada\x00", PASSWORD),
        ("\ud800", "\ud800\ud800\ud800\ud800\ud800\ud800\ud800\ud800"),
        ("a" * 100_000, "p" * 100_000),
    ],
)
def test_every_refusal_looks_the_same_and_costs_one_scrypt(
    ada: Access, scrypts: list[dict[str, Any]], name: str, password: str
) -> None:
    assert ada.accounts.authenticate(name, password, HOME) is None
    assert [(call["n"], call["r"], call["p"]) for call in scrypts] == [(2, 8, 1)]
    assert scrypts[0]["length"] <= 4 * passwords.MAX_LENGTH
    assert ada.accounts.get("ada").last_login_at is None


def test_a_success_costs_one_scrypt_too(ada: Access, scrypts: list[dict[str, Any]]) -> None:
    assert ada.accounts.authenticate("ada", PASSWORD, HOME)
    assert len(scrypts) == 1


def test_a_throttled_log_in_costs_no_scrypt(ada: Access, scrypts: list[dict[str, Any]]) -> None:
    for _ in range(10):
        ada.accounts.authenticate("ada", "wrong horse", HOME)
    scrypts.clear()
    with pytest.raises(TooManyAttempts):
        ada.accounts.authenticate("ada", PASSWORD, HOME)
    assert scrypts == []


def test_the_true_cost_is_one_that_owasp_lists(
    monkeypatch: pytest.MonkeyPatch, scrypts: list[dict[str, Any]], access: Access
) -> None:
    monkeypatch.undo()
    cost = passwords.COST
    assert cost.r == 8
    assert cost.p >= {17: 1, 16: 2, 15: 3, 14: 5, 13: 10}[int(math.log2(cost.n))]
    stored = passwords.hashed(PASSWORD)
    assert passwords.matches(PASSWORD, stored)
    assert not passwords.matches(PASSWORD + "!", stored)


def test_a_password_longer_than_any_does_not_pass_for_its_beginning(access: Access) -> None:
    longest = "horse " * passwords.MAX_LENGTH
    longest = longest[: passwords.MAX_LENGTH - 1] + "!"
    access.accounts.create("ada", "admin", longest)
    assert access.accounts.authenticate("ada", longest, HOME)
    assert access.accounts.authenticate("ada", longest + "x", HOME) is None


def test_a_password_is_the_same_however_the_device_spells_it(access: Access) -> None:
    access.accounts.create("ada", "admin", "caf\u00e9 cr\u00e8me")
    assert access.accounts.authenticate("ada", "cafe\u0301 cre\u0300me", HOME)


def test_the_file_holds_no_password(ada: Access, path: Path) -> None:
    ada.accounts.create("bob", "viewer", PASSWORD)
    with ada._database.reading() as db:
        hashes = db.execute_sql("SELECT password_salt, password_digest FROM accounts").fetchall()
    assert len({salt for salt, _ in hashes}) == 2
    assert len({digest for _, digest in hashes}) == 2
    for file in path.parent.iterdir():
        assert PASSWORD.encode() not in file.read_bytes()


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
