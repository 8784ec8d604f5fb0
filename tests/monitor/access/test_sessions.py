"""Sessions and their proofs: started, found, kept alive at little cost, and ended in every way there is."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access, Account
from tests.monitor.access.conftest import PASSWORD, of_file, queries
from tests.monitor.conftest import START, Clock

HOUR_S = 3600


@pytest.fixture
def ada(access: Access) -> Account:
    return access.accounts.create("ada", "admin", PASSWORD)[0]


def test_a_session_is_found_by_its_cookie_alone(access: Access, ada: Account) -> None:
    cookie = access.sessions.start(ada, "192.0.2.7", "Firefox")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", cookie)
    session = access.sessions.find(cookie)
    assert session and (session.account, session.address, session.agent) == (ada, "192.0.2.7", "Firefox")
    assert (session.created_at, session.last_seen_at, session.expires_at) == (START, START, START + 12 * HOUR_S)
    for other in ("", "x" * 43, "\ud800", "é", "x" * 100_000):
        assert access.sessions.find(other) is None
    assert len({access.sessions.start(ada, "", "") for _ in range(20)}) == 20
    session = access.sessions.find(access.sessions.start(ada, "\ud800" * 300, "x" * 300))
    assert session and (session.agent, session.address) == ("x" * 200, "?" * 64), "what a browser sends is bounded"


def test_a_session_lives_while_it_is_used(access: Access, ada: Account, clock: Clock) -> None:
    cookie, unused = access.sessions.start(ada, "", ""), access.sessions.start(ada, "", "")
    clock.advance(11 * HOUR_S)
    assert access.sessions.find(cookie) is not None
    clock.advance(HOUR_S)
    assert access.sessions.find(unused) is None
    (session,) = access.sessions.list(ada)
    assert (session.last_seen_at, session.expires_at) == (clock.now - HOUR_S, clock.now + 11 * HOUR_S)
    for _ in range(11):
        assert access.sessions.find(cookie, is_use=False) is not None
        clock.advance(HOUR_S)
    assert access.sessions.find(cookie, is_use=False) is None, "what only polls keeps no session alive"


def test_no_session_lives_for_ever_and_both_lengths_are_settings(
    access: Access, ada: Account, clock: Clock, url: str
) -> None:
    cookie = access.sessions.start(ada, "", "")
    for _ in range(15):
        clock.advance(11 * HOUR_S)
        assert access.sessions.find(cookie) is not None
    (session,) = access.sessions.list(ada)
    assert session.expires_at == START + 7 * 24 * HOUR_S
    clock.advance(3 * HOUR_S)
    assert access.sessions.find(cookie) is None
    other = access.sessions.start(ada, "", "")
    clock.advance(2 * HOUR_S)
    short = Access(url, session_days=1 / 24, clock=clock).sessions
    assert short.find(other) is None  # also what began before
    found = short.find(short.start(ada, "", ""))
    assert found is not None and found.expires_at == clock.now + HOUR_S
    half = Access(url, session_hours=0.5, clock=clock).sessions
    found = half.find(half.start(ada, "", ""))
    assert found is not None and found.expires_at == clock.now + 1800


@of_file
def test_a_password_is_fresh_for_ten_minutes(access: Access, ada: Account, clock: Clock) -> None:
    cookie = access.sessions.start(ada, "", "")

    def after(seconds: float) -> bool:
        clock.advance(seconds)
        session = access.sessions.find(cookie)
        assert session is not None
        return session.is_fresh(clock.now)

    assert (after(599), after(1)) == (True, False)
    session = access.sessions.find(cookie)
    assert session is not None
    access.sessions.confirm(session)
    assert (after(599), after(-3600)) == (True, False), "a clock that is set back makes nothing fresh"


def test_being_seen_costs_little_and_holds_up_nobody(access: Access, ada: Account, clock: Clock, path: Path) -> None:
    cookie = access.sessions.start(ada, "", "")
    seen = queries(access)
    for _ in range(48):
        clock.advance(5)
        assert access.sessions.find(cookie) is not None
    assert sum(sql.startswith("UPDATE") for sql in seen) == 4, "written at most once a minute"
    clock.advance(HOUR_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert access.sessions.find(cookie) is not None
        assert time.monotonic() - began < 2.5  # of a busy timeout of 5


def test_sessions_are_listed_and_ended(access: Access, ada: Account, clock: Clock) -> None:
    first = access.sessions.start(ada, "", "phone")
    clock.advance(100)
    second = access.sessions.start(ada, "", "laptop")
    assert [session.agent for session in access.sessions.list(ada)] == ["laptop", "phone"]
    clock.advance(100)
    assert access.sessions.find(first) is not None
    assert [session.agent for session in access.sessions.list(ada)] == ["phone", "laptop"]
    for _ in range(2):
        access.sessions.end(first)
    assert access.sessions.find(first) is None and access.sessions.find(second) is not None
    bob, _ = access.accounts.create("bob", "viewer", PASSWORD)
    cookies = [second, *(access.sessions.start(ada, "", "") for _ in range(2))]
    other = access.sessions.start(bob, "", "")
    assert access.sessions.end_all(ada) == 3
    assert [access.sessions.find(cookie) for cookie in cookies] == [None] * 3
    assert access.sessions.find(other) is not None
    clock.advance(12 * HOUR_S)
    for _ in range(2):
        access.sessions.start(ada, "", "")
        clock.advance(12 * HOUR_S)
    with access._database.reading() as db:
        assert db.execute_sql("SELECT count(*) FROM sessions").fetchone() == (1,), "what has expired is deleted"


def test_many_come_and_go_at_once(access: Access, ada: Account, at_once: Callable[..., list[Any]]) -> None:
    access.close()

    def visit(n: int) -> bool:
        found = []
        for _ in range(3):
            cookie = access.sessions.start(ada, "", str(n))
            access.close()
            found.append(access.sessions.find(cookie) is not None)
            access.sessions.end(cookie)
            found.append(access.sessions.find(cookie) is None)
        access.sessions.start(ada, "", str(n))
        access.close()
        return all(found)

    assert at_once(visit) == [True] * 16
    assert sorted(int(session.agent) for session in access.sessions.list(ada)) == list(range(16))


# proofs


def test_a_proof_counts_for_its_visitor_alone(access: Access, url: str) -> None:
    proof = access.csrf.token("one")
    assert len(proof) == 64 and access.csrf.token("one") == proof
    seen = queries(access)
    assert access.csrf.valid("one", proof) and seen == [], "its secret is read once"
    for visitor, wrong in (("two", proof), *(("one", each) for each in ("", "0" * 64, "é", "\ud800", "x" * 100_000))):
        assert not access.csrf.valid(visitor, wrong), (visitor, wrong[:9])
    assert access.csrf.valid("\ud800", access.csrf.token("\ud800"))
    assert not access.csrf.valid("", access.csrf.token("\ud800"))
    assert Access(url).csrf.valid("one", proof), "a form outlives a restart"
    assert len(access.csrf.secret()) == 32
    assert not Access(url + "2").csrf.valid("one", proof), "another installation has another secret"


def test_all_that_come_at_once_get_the_same_secret(url: str, at_once: Callable[..., list[Any]]) -> None:
    assert at_once(lambda n: Access(url).csrf.secret()) == [Access(url).csrf.secret()] * 16
