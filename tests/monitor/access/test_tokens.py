"""Tokens: a secret told once, found without a query, and refused soon after it is revoked."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access, InvalidInput, TokenExists, UnknownToken
from tests.monitor.access.conftest import START, Clock


def test_a_token_is_found_by_its_secret(access: Access) -> None:
    token, secret = access.tokens.create("ci", ["enqueue", "read", "read"])
    assert re.fullmatch(r"duy_[A-Za-z0-9_-]{43}", secret)
    assert (token.name, token.scopes, token.created_at) == ("ci", frozenset({"read", "enqueue"}), START)
    assert token.last_used_at is None
    assert access.tokens.find(secret) == token


def test_a_token_of_before_the_project_was_renamed_is_still_good(access: Access, monkeypatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("duey.monitor.access.tokens.PREFIX", "dwy_")
        token, secret = access.tokens.create("old", ["read"])
    assert secret.startswith("dwy_") and access.tokens.find(secret) == token


@pytest.mark.parametrize(
    ("scopes", "read", "enqueue", "admin"),
    [
        ({"read"}, True, False, False),
        ({"enqueue"}, False, True, False),
        ({"read", "enqueue"}, True, True, False),
        ({"admin"}, True, True, True),
    ],
)
def test_what_a_token_allows(access: Access, scopes: set[str], read: bool, enqueue: bool, admin: bool) -> None:
    token = access.tokens.find(access.tokens.create("ci", scopes)[1])
    assert token is not None
    assert [token.allows(scope) for scope in ("read", "enqueue", "admin")] == [read, enqueue, admin]


@pytest.mark.parametrize(("scopes", "found"), [((), "none"), (("read", "write"), "write"), ("read", "a, d, e")])
def test_bad_scopes_are_refused(access: Access, scopes: Any, found: str) -> None:
    with pytest.raises(InvalidInput, match=f"scopes: expected some of read, enqueue, admin, found {found}"):
        access.tokens.create("ci", scopes)
    assert access.tokens.list() == ()


def test_a_bad_name_is_refused(access: Access) -> None:
    with pytest.raises(InvalidInput, match="token name: expected 1 to 64"):
        access.tokens.create("my token", ["read"])


def test_a_name_is_taken_until_its_token_is_revoked(access: Access) -> None:
    _, old = access.tokens.create("ci", ["read"])
    with pytest.raises(TokenExists, match="'CI'"):
        access.tokens.create("CI", ["read"])
    access.tokens.revoke("ci")
    _, new = access.tokens.create("ci", ["read"])
    assert access.tokens.find(old) is None
    assert access.tokens.find(new) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: "",
        lambda secret: "duy_",
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        lambda secret: secret.swapcase(),
        lambda secret: "duy_" + "\ud800" * 43,
        lambda secret: "duy_" + "é" * 43,
    ],
)
def test_another_secret_finds_nothing(access: Access, change: Callable[[str], str]) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    assert access.tokens.find(change(secret)) is None


def test_the_file_holds_no_secret(access: Access, path: Path) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    for file in path.parent.iterdir():
        assert secret[4:].encode() not in file.read_bytes()


def test_an_unknown_name_is_answered_with_the_nearest(access: Access) -> None:
    access.tokens.create("deploy", ["read"])
    with pytest.raises(UnknownToken, match="no token is named 'depoly'; did you mean deploy\\?"):
        access.tokens.revoke("depoly")
    with pytest.raises(UnknownToken):
        access.tokens.revoke("\ud800")


def test_tokens_are_listed_by_name(access: Access) -> None:
    for name in ("b", "C", "a"):
        access.tokens.create(name, ["read"])
    assert [token.name for token in access.tokens.list()] == ["a", "b", "C"]


# the cache


def test_a_busy_token_costs_no_query(access: Access, clock: Clock, queries: Callable[[Access], list[str]]) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    assert access.tokens.find(secret) is not None
    seen = queries(access)
    for _ in range(100):
        clock.advance(0.019)
        assert access.tokens.find(secret) is not None
    assert seen == []
    clock.advance(0.2)
    assert access.tokens.find(secret) is not None
    assert len(seen) == 1


def test_nonsense_costs_no_query(access: Access, queries: Callable[[Access], list[str]]) -> None:
    access.prepare()
    seen = queries(access)
    assert access.tokens.find("Bearer of news") is None
    assert seen == []


def test_invented_secrets_do_not_fill_the_memory(access: Access) -> None:
    for n in range(50):
        assert access.tokens.find(f"duy_{n:043}") is None
    assert access.tokens._cache == {}


def test_a_revoked_token_is_refused_here_at_once(access: Access) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    assert access.tokens.find(secret) is not None
    access.tokens.revoke("CI")
    assert access.tokens.find(secret) is None


def test_a_revoked_token_is_refused_elsewhere_within_two_seconds(access: Access, url: str, clock: Clock) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    elsewhere = Access(url, clock=clock)
    assert elsewhere.tokens.find(secret) is not None
    access.tokens.revoke("ci")
    clock.advance(1.9)
    assert elsewhere.tokens.find(secret) is not None  # the price of costing no query
    clock.advance(0.1)
    assert elsewhere.tokens.find(secret) is None
    assert elsewhere.tokens._cache == {}


def test_a_clock_that_was_set_back_does_not_lengthen_the_cache(access: Access, url: str, clock: Clock) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    elsewhere = Access(url, clock=clock)
    assert elsewhere.tokens.find(secret) is not None
    access.tokens.revoke("ci")
    clock.advance(-3600)
    assert elsewhere.tokens.find(secret) is None


def test_being_used_is_written_at_most_once_a_minute(
    access: Access, clock: Clock, queries: Callable[[Access], list[str]]
) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    seen = queries(access)
    for _ in range(180):
        assert access.tokens.find(secret) is not None
        clock.advance(1)
    assert sum(sql.startswith("UPDATE") for sql in seen) == 3
    assert access.tokens.list()[0].last_used_at == START + 120


def test_a_program_gets_in_while_something_else_holds_the_write_lock(access: Access, path: Path) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert access.tokens.find(secret) is not None
        assert time.monotonic() - began < 2.5  # of a busy timeout of 5


def test_many_programs_at_once(access: Access, in_processes: Callable[..., list[Any]]) -> None:
    access.prepare()
    access.close()

    def work(n: int) -> bool:
        _, secret = access.tokens.create(f"t{n}", ["read"])
        found = [token and token.name for token in (access.tokens.find(secret) for _ in range(20))]
        if n % 2:
            access.tokens.revoke(f"t{n}")
            found.append(f"t{n}" if access.tokens.find(secret) is None else "still there")
        access.close()
        return set(found) == {f"t{n}"}

    assert in_processes(2, 8, work) == [True] * 16
    assert {token.name for token in access.tokens.list()} == {f"t{n}" for n in range(0, 16, 2)}


def test_a_token_ends_when_it_was_said(access: Access, clock: Clock) -> None:
    token, secret = access.tokens.create("ci", ["read"], 90 * 86400)
    lasting = access.tokens.create("old", ["read"])[1]
    assert (token.expires_at, access.tokens.find(secret)) == (START + 90 * 86400, token)
    clock.advance(90 * 86400 - 0.5)
    assert access.tokens.find(secret) is not None
    clock.advance(0.5)
    assert access.tokens.find(secret) is None  # also while it is remembered
    assert access.tokens.find(lasting) is not None
    assert [(each.name, each.has_expired(clock.now)) for each in access.tokens.list()] == [("ci", True), ("old", False)]
    for wrong in (0, -1, 4000 * 86400, float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="expected to expire within 3650 days"):
            access.tokens.create("x", ["read"], wrong)
