"""The file: made private, migrated once, refused in words when it cannot be trusted, shared without harm."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access, AccessUnavailable, SchemaTooNew
from duey.monitor.access.database import Database
from duey.monitor.access.schema import AUDIT, MIGRATIONS, TOKENS
from tests.monitor.access.conftest import START, Clock
from tests.support.troubles import in_a_child, one_sentence

SECRET = "duy_" + "A" * 43
NEXT = (*MIGRATIONS, ("ALTER TABLE audit ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_touches_the_disk_before_the_first_use(url: str, path: Path) -> None:
    Access(url)
    assert not path.parent.exists()


@pytest.mark.parametrize("url", ["", "access.db", "sqlite:///", "sqlite:///:memory:", "postgres://host/db"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected sqlite:///FILE"):
        Access(url)


def test_the_file_and_its_log_belong_to_their_owner_alone(access: Access, path: Path) -> None:
    access.prepare()
    access.accounts.create("ada", "admin", "a password")
    wal = path.with_name(path.name + "-wal")
    assert (mode(path), mode(wal)) == (0o600, 0o600)


def test_a_file_that_others_may_read_is_closed_to_them(access: Access, url: str, path: Path) -> None:
    access.prepare()
    access.close()
    path.chmod(0o644)
    Access(url).prepare()
    assert mode(path) == 0o600


def test_the_settings_of_a_connection(access: Access) -> None:
    with access._database.reading() as db:
        assert db.journal_mode == "wal"
        assert db.synchronous == 2  # FULL
        assert db.foreign_keys == 1
        assert db.pragma("busy_timeout") == 5000


def test_a_writer_takes_the_lock_before_it_reads(access: Access, path: Path) -> None:
    with (
        access._database.writing(),
        closing(sqlite3.connect(path, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


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


def test_an_older_file_is_walked_up_once_and_keeps_its_rows(access: Access, url: str) -> None:
    access.audit.record("ada", "web", "10.0.0.1", "cancel", "job 1")
    for _ in range(2):
        with Database(url, migrations=NEXT).reading() as db:
            assert [row["mood"] for row in AUDIT.select().execute(db)] == ["calm"]
            assert db.execute_sql("SELECT version FROM access_schema").fetchall() == [(len(NEXT),)]


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


def test_a_migration_that_fails_changes_nothing(access: Access, url: str) -> None:
    access.prepare()
    broken = (*MIGRATIONS, (*NEXT[-1], "ALTER TABLE nothing ADD COLUMN mood TEXT"))
    with pytest.raises(AccessUnavailable):
        Database(url, migrations=broken).prepare()
    with Database(url).reading() as db:
        assert "mood" not in [column.name for column in db.get_columns("audit")]
        assert db.execute_sql("SELECT version FROM access_schema").fetchall() == [(len(MIGRATIONS),)]


def test_only_one_of_many_starts_makes_and_migrates_the_file(url: str, in_processes: Callable[..., list[Any]]) -> None:
    def start(n: int) -> int:
        database = Database(url, migrations=NEXT)
        with database.writing() as db:
            TOKENS.insert(name=f"t{n}", digest=bytes([n]), scopes="read", created_at=0.0).execute(db)
            return int(db.execute_sql("SELECT version FROM access_schema").fetchone()[0])

    assert in_processes(2, 8, start) == [len(NEXT)] * 16
    with Database(url, migrations=NEXT).reading() as db:
        assert TOKENS.select().count(db) == 16


def test_a_newer_schema_is_refused_and_left_alone(access: Access, url: str, path: Path) -> None:
    Database(url, migrations=NEXT).prepare()
    with pytest.raises(SchemaTooNew) as refused:
        access.prepare()
    text = one_sentence(refused.value, path)
    assert f"schema {len(NEXT)}" in text
    assert f"up to {len(MIGRATIONS)}" in text
    with Database(url, migrations=NEXT).reading() as db:
        assert db.execute_sql("SELECT version FROM access_schema").fetchone() == (len(NEXT),)


def test_a_file_that_holds_something_else_is_refused_and_left_alone(access: Access, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE jobs (id TEXT)")
    with pytest.raises(AccessUnavailable, match="jobs") as refused:
        access.prepare()
    one_sentence(refused.value, path)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("jobs",)]


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


def test_a_forked_child_opens_a_connection_of_its_own(access: Access) -> None:
    access.accounts.create("ada", "admin", "a password")
    with access._database.reading() as db:
        inherited = id(db.connection())

    def use() -> str:
        with access._database.reading() as db:
            assert id(db.connection()) != inherited
        access.audit.record("child", "operator", "", "visit", "")
        return ",".join(account.name for account in access.accounts.list())

    assert in_a_child(use) == "ada"
    assert [entry.who for entry in access.audit.page()] == ["child"]
    with access._database.reading() as db:
        assert id(db.connection()) == inherited


def test_close_ends_the_connection_and_the_next_use_opens_another(access: Access) -> None:
    access.close()  # nothing is open yet
    access.prepare()
    access.close()
    assert access._database._database().is_closed()
    assert access.accounts.list() == ()


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
