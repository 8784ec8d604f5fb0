"""Accounts of a file go to PostgreSQL as they are, all or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.monitor.access import Access, AccessUnavailable, copying
from duey.monitor.access.database import File, Server
from duey.monitor.access.schema import AUDIT
from tests.monitor.access.conftest import HOME, PASSWORD
from tests.monitor.access.test_second_factor import App, account_of
from tests.monitor.conftest import Clock

KEY = "of all webs" * 3


@pytest.fixture
def old(path: Path, clock: Clock) -> Access:
    """With accounts, one of them removed, and all that belongs to them."""
    access = Access(f"sqlite:///{path}", clock=clock, totp_key=KEY)
    for name in ("ada", "Bob", "cy"):
        access.accounts.create(name, "admin", PASSWORD)
    access.accounts.remove("cy")
    for n in range(copying.ROWS + 1):
        access.audit.record("ada", "web", "", "note", str(n))
    with access._database.writing() as db:
        AUDIT.insert(
            at=0.0, who="a\0b", source="web", address="", action="odd", target="", count=1, detail="of before"
        ).execute(db)
    return access


def test_all_of_it_is_there_and_goes_on(old: Access, path: Path, postgres: str, clock: Clock) -> None:
    cookie = old.sessions.start(account_of(old), HOME, "Firefox")
    secret, revoked = (old.tokens.create(name, ["enqueue:add"])[1] for name in ("CI", "gone"))
    old.tokens.revoke("gone")
    app = App(old.second_factors.begin(account_of(old)).uri, clock)
    codes = old.second_factors.confirm(account_of(old), app.code())
    proof = old.csrf.token("session")
    assert codes
    copied = copying.copy_all(File(f"sqlite:///{path}"), Server(postgres))
    assert copied == {
        "accounts": 2, "sessions": 1, "tokens": 1, "audit": copying.ROWS + 2, "second_factors": 1,
        "recovery_codes": len(codes), "secrets": 1,
    }  # fmt: skip
    new = Access(postgres, clock=clock, totp_key=KEY)
    assert new.accounts.list() == old.accounts.list() and new.tokens.list() == old.tokens.list()
    assert new.sessions.find(cookie) == old.sessions.find(cookie) and new.csrf.valid("session", proof)
    assert new.tokens.find(secret) and new.tokens.find(revoked) is None
    pages = [(list(each.audit.walk())) for each in (new, old)]
    assert pages[0][1:] == pages[1][1:] and pages[0][0].who == "a?b"
    clock.advance(60)
    assert new.second_factors.check(account_of(new), app.code(), HOME) == "code"
    assert new.second_factors.check(account_of(new), codes[0], HOME) == "recovery code"
    assert new.accounts.create("dan", "viewer", PASSWORD)[0].id == 4, "the id of a removed account is not used again"
    assert new.tokens.create("next", ["read"])[0].id == 3 and new.lacks() == ()
    with pytest.raises(AccessUnavailable, match="has accounts or tokens already, so nothing was copied"):
        copying.copy_all(File(f"sqlite:///{path}"), Server(postgres))


def test_what_is_cut_short_leaves_nothing(
    old: Access, path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut, pytest.raises(ZeroDivisionError):
        cut.setattr(copying, "_last_id", lambda *_: 1 / 0)
        copying.copy_all(File(f"sqlite:///{path}"), Server(postgres))
    assert Access(postgres).accounts.list() == () and len(old.accounts.list()) == 2
    copying.copy_all(File(f"sqlite:///{path}"), Server(postgres))
    assert len(Access(postgres).accounts.list()) == 2
