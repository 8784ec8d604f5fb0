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

from duey.monitor.access import Access, ChangedSince, InvalidInput, TokenExists, UnknownToken
from tests.monitor.access.conftest import of_file, queries
from tests.monitor.conftest import START, Clock


def test_a_token_is_found_by_its_secret_alone(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = access.tokens.create("ci", ["enqueue", "read", "read"])
    assert re.fullmatch(r"duy_[A-Za-z0-9_-]{43}", secret)
    assert (token.name, token.scopes, token.created_at) == ("ci", frozenset({"read", "enqueue"}), START)
    assert token.last_used_at is None
    assert access.tokens.find(secret) == token
    for other in (
        "", "duy_", secret[:-1], secret + "x", secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret.swapcase(),
        "duy_" + "\ud800" * 43, "duy_" + "é" * 43,
    ):  # fmt: skip
        assert access.tokens.find(other) is None, other
    with monkeypatch.context() as before:
        before.setattr("duey.monitor.access.tokens.PREFIX", "dwy_")
        token, secret = access.tokens.create("old", ["read"])
    assert secret.startswith("dwy_") and access.tokens.find(secret) == token, "of before the project was renamed"


@of_file
def test_what_a_token_allows(access: Access) -> None:
    for n, (scopes, allowed) in enumerate(
        (
            ({"read"}, "read"),
            ({"enqueue"}, "enqueue"),
            ({"read", "enqueue"}, "read enqueue"),
            ({"admin"}, "read enqueue admin"),
        )
    ):
        token = access.tokens.find(access.tokens.create(f"t{n}", scopes)[1])
        assert token and " ".join(filter(token.allows, ("read", "enqueue", "admin"))) == allowed, scopes


@of_file
def test_what_cannot_be_created_or_revoked_is_refused(access: Access) -> None:
    wrong: Any
    for wrong, found in (((), "none"), (("read", "write"), "write"), ("read", "a, d, e")):
        with pytest.raises(
            InvalidInput,
            match=f"scopes: expected 1 to 50 of read, enqueue, admin.*, found {found}",
        ):
            access.tokens.create("ci", wrong)
    with pytest.raises(InvalidInput, match="token name: expected 1 to 64"):
        access.tokens.create("my token", ["read"])
    for wrong in (0, -1, 4000 * 86400, float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="expected to expire within 3650 days"):
            access.tokens.create("ci", ["read"], wrong)
    assert access.tokens.list() == ()
    _, old = access.tokens.create("deploy", ["read"])
    with pytest.raises(TokenExists, match="'DEPLOY'"):
        access.tokens.create("DEPLOY", ["read"])
    with pytest.raises(UnknownToken, match="no token is named 'depoly'; did you mean deploy\\?"):
        access.tokens.revoke("depoly")
    with pytest.raises(UnknownToken):
        access.tokens.revoke("\ud800")
    assert access.tokens.find(old)
    access.tokens.revoke("DEPLOY")
    _, new = access.tokens.create("deploy", ["read"])
    assert access.tokens.find(old) is None and access.tokens.find(new)
    for name in ("b", "C"):
        access.tokens.create(name, ["read"])
    assert [token.name for token in access.tokens.list()] == ["b", "C", "deploy"]


# the cache


def test_a_busy_token_and_nonsense_cost_no_query(access: Access, clock: Clock, path: Path) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    assert access.tokens.find(secret) is not None
    seen = queries(access)
    assert access.tokens.find("Bearer of news") is None
    for _ in range(100):
        clock.advance(0.019)
        assert access.tokens.find(secret) is not None
    assert seen == []
    clock.advance(0.2)
    assert access.tokens.find(secret) is not None
    assert len(seen) == 1
    for _ in range(27):
        clock.advance(7)
        assert access.tokens.find(secret) is not None
    assert sum(sql.startswith("UPDATE") for sql in seen) == 3, "being used is written at most once a minute"
    assert access.tokens.list()[0].last_used_at == clock.now
    held = len(access.tokens._cache)
    for n in range(50):
        assert access.tokens.find(f"duy_{n:043}") is None
    assert len(access.tokens._cache) == held, "invented secrets do not fill the memory"


def test_a_revoked_token_is_refused_here_at_once_and_elsewhere_within_two_seconds(
    access: Access, path: Path, clock: Clock
) -> None:
    secret, other = (access.tokens.create(name, ["read"])[1] for name in ("ci", "cd"))
    elsewhere = Access(f"sqlite:///{path}", clock=clock)
    assert all(each.tokens.find(one) for each in (access, elsewhere) for one in (secret, other))
    access.tokens.revoke("CI")
    assert access.tokens.find(secret) is None
    clock.advance(1.9)
    assert elsewhere.tokens.find(secret) is not None  # the price of costing no query
    clock.advance(0.1)
    assert elsewhere.tokens.find(secret) is None
    assert elsewhere.tokens.find(other) is not None
    access.tokens.revoke("cd")
    clock.advance(-3600)
    assert elsewhere.tokens.find(other) is None, "a clock that was set back does not lengthen the cache"
    assert elsewhere.tokens._cache == {}


def test_webs_that_share_a_server_refuse_a_revoked_token_at_once(postgres: str, clock: Clock) -> None:
    here, there = (Access(postgres, clock=clock) for _ in range(2))
    first, second = (here.tokens.create(name, ["read"])[1] for name in ("ci", "cd"))
    assert all(each.tokens.find(one) for each in (here, there) for one in (first, second))
    here.tokens.revoke("ci")
    _, rotated = here.tokens.rotate("cd")
    assert [each.tokens.find(one) for each in (here, there) for one in (first, second)] == [None] * 4
    assert there.tokens.find(rotated)


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


def test_a_program_gets_in_while_something_else_holds_the_write_lock(access: Access, path: Path) -> None:
    _, secret = access.tokens.create("ci", ["read"])
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert access.tokens.find(secret) is not None
        assert time.monotonic() - began < 2.5  # of a busy timeout of 5
        backup.execute("ROLLBACK")
    assert access.tokens.list()[0].last_used_at is None
    with access._database.reading() as db:
        assert db.pragma("busy_timeout") == 5000


def test_many_programs_at_once(access: Access, at_once: Callable[..., list[Any]]) -> None:
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

    assert at_once(work) == [True] * 16
    assert {token.name for token in access.tokens.list()} == {f"t{n}" for n in range(0, 16, 2)}


@of_file
def test_scopes_of_a_task(access: Access) -> None:
    scopes = {"enqueue:send_email", "read:shop.orders.pay", "read:žurno"}
    token = access.tokens.find(access.tokens.create("ci", scopes)[1])
    assert token and not any(map(token.allows, ("read", "enqueue", "admin")))
    assert (token.tasks("enqueue"), token.tasks("read")) == (("send_email",), ("shop.orders.pay", "žurno"))
    assert access.tokens.create("all", {"enqueue", "enqueue:a"})[0].allows("enqueue")
    for wrong in ("enqueue:", "enqueue:a b", "enqueue:*", "admin:a", "read:a.", "read:a,b", "read:" + "a" * 200):
        with pytest.raises(InvalidInput, match="read:TASK and enqueue:TASK, found"):
            access.tokens.create("x", {wrong})
    with pytest.raises(InvalidInput, match="found 51"):
        access.tokens.create("x", {f"read:t{n}" for n in range(51)})


def test_a_rotated_token_has_two_secrets_for_a_while(access: Access, url: str, clock: Clock) -> None:
    made, old = access.tokens.create("ci", ["read"], 90 * 86400)
    elsewhere = Access(url, clock=clock)
    assert access.tokens.find(old) and elsewhere.tokens.find(old)
    clock.now += 3600
    token, new = access.tokens.rotate("CI", 3600, seen=made.version)
    assert (token.id, token.scopes, token.expires_at) == (made.id, made.scopes, clock.now + 90 * 86400)
    assert token.rotated_at == clock.now and token.previous_used_at is None
    for tokens in (access.tokens, elsewhere.tokens):
        assert all(tokens.find(each) for each in (old, new))
    clock.now += 60
    assert access.tokens.find(old)
    shown = access.tokens.get("ci")
    assert (shown.previous_used_at, shown.last_used_at) == (clock.now, clock.now - 60), "which secret is still in use"
    clock.now += 3600 - 60.5
    assert access.tokens.find(old)
    clock.now += 0.5
    assert not access.tokens.find(old) and not elsewhere.tokens.find(old), "also where it is cached"
    assert access.tokens.find(new)
    with pytest.raises(ChangedSince):
        access.tokens.rotate("ci", seen=made.version)
    newest = access.tokens.rotate("ci", expires_s=86400)[1]
    assert not access.tokens.find(new) and access.tokens.find(newest)
    assert access.tokens.get("ci").expires_at == clock.now + 86400
    clock.now += 2.5
    assert not elsewhere.tokens.find(new), "elsewhere within the time of the cache"
    for wrong in (-1, 31 * 86400, float("nan")):
        with pytest.raises(InvalidInput, match="an overlap within 30 days"):
            access.tokens.rotate("ci", wrong)
    with pytest.raises(UnknownToken):
        access.tokens.rotate("nobody")
    assert access.tokens.find(newest)


def test_a_rotation_brings_no_expired_secret_back(access: Access, clock: Clock) -> None:
    old = access.tokens.create("ci", ["read"], 60)[1]
    clock.now += 61
    new = access.tokens.rotate("ci", 86400)[1]
    assert access.tokens.find(new) and not access.tokens.find(old)
