"""The first start: one admin and one token, made once by one of any number of starters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from duey.monitor.access import Access, FirstSecrets
from duey.monitor.access.tokens import Tokens


def test_the_first_start_opens_every_door(access: Access) -> None:
    first = access.first_start()
    assert first is not None
    account = access.accounts.authenticate(first.account, first.password, "192.0.2.7")
    assert account is not None
    assert (account.name, account.role) == ("admin", "admin")
    token = access.tokens.find(first.secret)
    assert token is not None
    assert (token.name, token.scopes) == ("first", frozenset({"read", "enqueue", "admin"}))


def test_what_it_made_is_not_shown_by_accident(access: Access) -> None:
    first = access.first_start()
    assert first is not None
    assert first.password not in repr(first)
    assert first.secret not in repr(first)


def test_a_second_start_makes_nothing(access: Access, url: str) -> None:
    assert access.first_start() is not None
    assert access.first_start() is None
    assert Access(url).first_start() is None
    assert len(access.accounts.list()) == len(access.tokens.list()) == 1


def test_a_viewer_that_was_there_before_is_not_enough(access: Access) -> None:
    access.accounts.create("Admin", "viewer", "correct horse battery")
    first = access.first_start()
    assert first is not None
    account = access.accounts.authenticate(first.account, first.password, "")
    assert account is not None and (account.name, account.role) == ("admin-2", "admin")
    assert access.tokens.find(first.secret) is not None
    assert access.first_start() is None


def test_beside_an_admin_that_was_there_before_only_a_token_is_made_once(access: Access) -> None:
    access.accounts.create("ada", "admin", "correct horse battery")
    first = access.first_start()
    assert first is not None
    assert (first.account, first.password) == ("", "")
    assert access.tokens.find(first.secret) is not None
    assert [account.name for account in access.accounts.list()] == ["ada"]
    access.tokens.revoke(first.token)
    assert access.first_start() is None, "a token that was revoked does not come back"


def test_a_token_that_has_the_name_already_is_left_alone(access: Access) -> None:
    _, old = access.tokens.create("First", ["read"])
    first = access.first_start()
    assert first is not None
    assert first.token == "first-2"
    assert access.tokens.find(old) is not None


def test_half_a_start_is_none(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Tokens, "create", fail)
        access.first_start()
    assert not access.accounts.exist()
    assert access.first_start() is not None


def test_of_many_first_starts_one_succeeds(url: str, in_processes: Callable[..., list[Any]]) -> None:
    outcomes = in_processes(2, 8, lambda n: Access(url).first_start())
    (first,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(first, FirstSecrets)
    access = Access(url)
    assert access.accounts.authenticate("admin", first.password, "") is not None
    assert access.tokens.find(first.secret) is not None
    assert len(access.accounts.list()) == len(access.tokens.list()) == 1
