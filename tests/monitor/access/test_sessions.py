"""Sessions: started, found, kept alive at little cost, and ended in every way there is."""

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
from tests.monitor.access.conftest import START, Clock

HOUR_S = 3600


@pytest.fixture
def ada(access: Access) -> Account:
    return access.accounts.create("ada", "admin", "a password")[0]


def test_a_session_is_found_by_its_cookie(access: Access, ada: Account) -> None:
    cookie = access.sessions.start(ada, "192.0.2.7", "Firefox")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", cookie)
    session = access.sessions.find(cookie)
    assert session is not None
    assert session.account == ada
    assert (session.address, session.agent) == ("192.0.2.7", "Firefox")
    assert (session.created_at, session.last_seen_at, session.expires_at) == (
        START,
        START,
        START + 12 * HOUR_S,
    )


def test_cookies_differ(access: Access, ada: Account) -> None:
    assert len({access.sessions.start(ada, "", "") for _ in range(20)}) == 20


@pytest.mark.parametrize("cookie", ["", "x" * 43, "\ud800", "é", "x" * 100_000])
def test_another_cookie_finds_nothing(access: Access, ada: Account, cookie: str) -> None:
    access.sessions.start(ada, "", "")
    assert access.sessions.find(cookie) is None


def test_the_file_holds_no_cookie(access: Access, ada: Account, path: Path) -> None:
    cookie = access.sessions.start(ada, "", "")
    for file in path.parent.iterdir():
        assert cookie.encode() not in file.read_bytes()


def test_what_the_browser_says_is_bounded(access: Access, ada: Account) -> None:
    session = access.sessions.find(access.sessions.start(ada, "\ud800" * 300, "x" * 300))
    assert session is not None
    assert session.agent == "x" * 200
    assert session.address == "?" * 64


def test_a_session_that_is_not_used_expires(access: Access, ada: Account, clock: Clock) -> None:
    cookie = access.sessions.start(ada, "", "")
    clock.advance(12 * HOUR_S)
    assert access.sessions.find(cookie) is None
    assert access.sessions.list(ada) == ()


def test_a_session_that_is_used_lives_on(access: Access, ada: Account, clock: Clock) -> None:
    cookie = access.sessions.start(ada, "", "")
    for _ in range(5):
        clock.advance(11 * HOUR_S)
        assert access.sessions.find(cookie) is not None
    (session,) = access.sessions.list(ada)
    assert (session.last_seen_at, session.expires_at) == (clock.now, clock.now + 12 * HOUR_S)
    clock.advance(12 * HOUR_S)
    assert access.sessions.find(cookie) is None


def test_no_session_lives_for_ever(access: Access, ada: Account, clock: Clock, url: str) -> None:
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
    assert Access(url, session_days=1 / 24, clock=clock).sessions.find(other) is None  # also what began before
    short = Access(url, session_days=1 / 24, clock=clock).sessions
    cookie = short.start(ada, "", "")
    found = short.find(cookie)
    assert found is not None and found.expires_at == clock.now + HOUR_S


def test_what_only_polls_keeps_no_session_alive(access: Access, ada: Account, clock: Clock) -> None:
    cookie = access.sessions.start(ada, "", "")
    for _ in range(11):
        clock.advance(HOUR_S)
        assert access.sessions.find(cookie, is_use=False) is not None
    clock.advance(HOUR_S)
    assert access.sessions.find(cookie, is_use=False) is None


def test_a_password_is_fresh_for_ten_minutes(access: Access, ada: Account, clock: Clock) -> None:
    cookie = access.sessions.start(ada, "", "")

    def is_fresh() -> bool:
        session = access.sessions.find(cookie)
        assert session is not None
        return session.is_fresh(clock.now)

    clock.advance(599)
    assert is_fresh()
    clock.advance(1)
    assert not is_fresh()
    session = access.sessions.find(cookie)
    assert session is not None
    access.sessions.confirm(session)
    clock.advance(599)
    assert is_fresh()
    clock.advance(-3600)  # a clock that is set back makes nothing fresh
    assert not is_fresh()


def test_the_length_is_a_setting(url: str, clock: Clock, ada: Account) -> None:
    short = Access(url, session_hours=0.5, clock=clock)
    cookie = short.sessions.start(ada, "", "")
    clock.advance(1799)
    session = short.sessions.find(cookie)
    assert session is not None
    assert session.expires_at == START + 1800


def test_being_seen_is_written_at_most_once_a_minute(
    access: Access, ada: Account, clock: Clock, queries: Callable[[Access], list[str]]
) -> None:
    cookie = access.sessions.start(ada, "", "")
    seen = queries(access)
    for _ in range(240):
        clock.advance(1)
        assert access.sessions.find(cookie) is not None
    assert sum(sql.startswith("UPDATE") for sql in seen) == 4


def test_a_page_opens_while_something_else_holds_the_write_lock(
    access: Access, ada: Account, clock: Clock, path: Path
) -> None:
    cookie = access.sessions.start(ada, "", "")
    clock.advance(HOUR_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert access.sessions.find(cookie) is not None
        assert time.monotonic() - began < 2.5  # of a busy timeout of 5


def test_log_out_ends_one_session(access: Access, ada: Account) -> None:
    one, two = (access.sessions.start(ada, "", "") for _ in range(2))
    access.sessions.end(one)
    access.sessions.end(one)
    assert access.sessions.find(one) is None
    assert access.sessions.find(two) is not None


def test_log_out_everywhere_ends_all_of_one_account(access: Access, ada: Account) -> None:
    bob, _ = access.accounts.create("bob", "viewer", "a password")
    cookies = [access.sessions.start(ada, "", "") for _ in range(3)]
    other = access.sessions.start(bob, "", "")
    assert access.sessions.end_all(ada) == 3
    assert [access.sessions.find(cookie) for cookie in cookies] == [None] * 3
    assert access.sessions.find(other) is not None


def test_sessions_are_listed_by_when_they_were_last_seen(access: Access, ada: Account, clock: Clock) -> None:
    first = access.sessions.start(ada, "", "phone")
    clock.advance(100)
    access.sessions.start(ada, "", "laptop")
    assert [session.agent for session in access.sessions.list(ada)] == ["laptop", "phone"]
    clock.advance(100)
    assert access.sessions.find(first) is not None
    assert [session.agent for session in access.sessions.list(ada)] == ["phone", "laptop"]


def test_what_has_expired_is_deleted(access: Access, ada: Account, clock: Clock) -> None:
    for _ in range(3):
        access.sessions.start(ada, "", "")
    clock.advance(12 * HOUR_S)
    assert access.sessions.purge() == 3
    assert access.sessions.purge() == 0
    access.sessions.start(ada, "", "")
    clock.advance(12 * HOUR_S)
    access.sessions.start(ada, "", "")
    with access._database.reading() as db:
        assert db.execute_sql("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_many_come_and_go_at_once(access: Access, ada: Account, in_processes: Callable[..., list[Any]]) -> None:
    access.close()

    def visit(n: int) -> bool:
        found = []
        for _ in range(5):
            cookie = access.sessions.start(ada, "", str(n))
            access.close()
            found.append(access.sessions.find(cookie) is not None)
            access.sessions.end(cookie)
            found.append(access.sessions.find(cookie) is None)
        access.sessions.start(ada, "", str(n))
        access.close()
        return all(found)

    assert in_processes(2, 8, visit) == [True] * 16
    assert sorted(int(session.agent) for session in access.sessions.list(ada)) == list(range(16))
