"""The file of accounts: shared without harm; its first version (test_sqlite_file: what it has with monitor.db)."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access
from duey.monitor.access.database import Database
from duey.monitor.access.schema import MIGRATIONS, TOKENS
from tests.monitor.access.conftest import START, Clock

SECRET = "duy_" + "A" * 43
NEXT = (*MIGRATIONS, ("ALTER TABLE audit ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",))


def test_names_of_files_are_taken_literally(tmp_path: Path) -> None:
    path = tmp_path / "50% of it?mode=memory#é.db"
    Access(f"sqlite:///{path}").prepare()
    assert path.exists()


def test_a_relative_file_stays_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    access = Access("sqlite:///data/access.db")
    monkeypatch.chdir("/")
    access.prepare()
    assert (tmp_path / "data" / "access.db").exists()


# migrations


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_accounts_sessions_and_tokens_of_the_first_version_go_on(url: str) -> None:
    with Database(url, migrations=MIGRATIONS[:1]).writing() as db:
        for statement in (
            "INSERT INTO accounts VALUES (1, 'ada', 'admin', x'00', x'00', 2, 8, 1, 1, 5.0, NULL)",
            f"INSERT INTO sessions VALUES (1, x'{digest('cookie')}', 1, {START}, {START + 9}, {START}, '', '')",
            f"INSERT INTO tokens VALUES (1, 'ci', x'{digest(SECRET)}', 'read', 5.0, NULL)",
        ):
            db.execute_sql(statement)
    access = Access(url, clock=Clock())
    session, token = access.sessions.find("cookie"), access.tokens.find(SECRET)
    assert session is not None and session.is_fresh(START) and session.account.name == "ada"
    assert token is not None and (token.name, token.expires_at) == ("ci", None)


def test_only_one_of_many_starts_makes_and_migrates_the_file(url: str, in_processes: Callable[..., list[Any]]) -> None:
    def start(n: int) -> int:
        database = Database(url, migrations=NEXT)
        with database.writing() as db:
            TOKENS.insert(name=f"t{n}", digest=bytes([n]), scopes="read", created_at=0.0).execute(db)
            return int(db.execute_sql("SELECT version FROM access_schema").fetchone()[0])

    assert in_processes(2, 8, start) == [len(NEXT)] * 16
    with Database(url, migrations=NEXT).reading() as db:
        assert TOKENS.select().count(db) == 16


# company


def test_two_access_objects_live_side_by_side(tmp_path: Path) -> None:
    one, two = (Access(f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "two"))
    one.accounts.create("ada", "admin", "a password")
    two.accounts.create("bob", "viewer", "a password")
    assert [account.name for account in one.accounts.list()] == ["ada"]
    assert [account.name for account in two.accounts.list()] == ["bob"]
    assert one.csrf_secret() != two.csrf_secret()


def test_a_transaction_is_all_or_nothing(access: Access) -> None:
    with pytest.raises(RuntimeError), access.transaction():
        access.tokens.create("bot", ["read"])
        access.audit.record("ada", "web", "", "token created", "bot")
        raise RuntimeError
    assert (access.tokens.list(), access.audit.page()) == ((), ())


def test_a_refusal_inside_a_transaction_leaves_the_rest_of_it_standing(access: Access) -> None:
    access.tokens.create("bot", ["read"])
    with access.transaction():
        with pytest.raises(Exception, match="exists"):
            access.tokens.create("bot", ["read"])
        access.audit.record("ada", "web", "", "refused", "bot")
    assert [entry.action for entry in access.audit.page()] == ["refused"]


def test_a_courtesy_write_neither_waits_nor_fails(access: Access, path: Path) -> None:
    access.tokens.create("bot", ["read"])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        access._database.write_if_free(TOKENS.update(last_used_at=1.0))
        assert time.monotonic() - began < 2.5  # of a busy timeout of 5
        other.execute("ROLLBACK")
    assert access.tokens.list()[0].last_used_at is None
    with access._database.reading() as db:
        assert db.pragma("busy_timeout") == 5000
    access._database.write_if_free(TOKENS.update(last_used_at=1.0))
    assert access.tokens.list()[0].last_used_at == 1.0
