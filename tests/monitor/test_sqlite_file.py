"""What both files of the monitor promise: made private, migrated once, refused in words, used again once mended."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from duey.monitor import access, history
from duey.monitor.access import database as access_file
from duey.monitor.access import schema as access_schema
from duey.monitor.history import database as history_file
from duey.monitor.history import schema as history_schema
from tests.support import rows
from tests.support.file_errors import become_nobody, in_a_child, one_sentence, public_folder


class Kind(NamedTuple):
    """`table` has rows of `insert` columns; `version` is where the number of the schema stands."""

    database: Any
    migrations: tuple[tuple[str, ...], ...]
    trouble: type[Exception]
    too_new: type[Exception]
    table: str
    insert: str
    version: str

    @property
    def next(self) -> tuple[tuple[str, ...], ...]:
        return (*self.migrations, (f"ALTER TABLE {self.table} ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",))

    def open(self, path: Path, **options: Any) -> Any:
        return self.database(f"sqlite:///{path}", **options)


KINDS = {
    "access": Kind(
        access_file.File, access_schema.MIGRATIONS, access.AccessUnavailable, access.SchemaTooNew, "tokens",
        "INSERT INTO tokens (name, digest, scopes, created_at) VALUES ('t', x'00', 'read', 0)", "access_schema",
    ),
    "history": Kind(
        history_file.File, history_schema.MIGRATIONS, history.HistoryUnavailable, history.HistoryTooNew, "visits",
        "INSERT INTO visits (account, seen_at) VALUES ('ada', 0)", "books_schema",
    ),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "file.db"


@pytest.fixture
def database(kind: Kind, path: Path) -> Iterator[Any]:
    made = kind.open(path)
    yield made
    made.close()


def count(kind: Kind, database: Any) -> int:
    with database.reading() as db:
        return int(db.execute_sql(f"SELECT count(*) FROM {kind.table}").fetchone()[0])


def version(kind: Kind, path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as con:
        return con.execute(f"SELECT version FROM {kind.version}").fetchall()


def test_it_is_made_with_the_first_use_and_private(kind: Kind, database: Any, path: Path) -> None:
    assert not path.parent.exists()
    with database.writing() as db:
        db.execute_sql(kind.insert)
        assert (db.journal_mode, db.synchronous) == ("wal", 2)  # FULL
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.with_name("file.db-wal"))] == [0o600] * 2
    database.close()
    assert db.is_closed()
    path.chmod(0o644)
    if kind is KINDS["access"]:
        assert count(kind, kind.open(path)) == 1
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, "an older file is closed to others"


@rows("url", ["", "monitor.db", "sqlite:///", "sqlite:///:memory:", "postgres://host/db"])
def test_another_kind_of_url_is_refused(kind: Kind, url: str) -> None:
    with pytest.raises(ValueError, match="expected sqlite:///FILE"):
        kind.database(url)


def test_close_ends_the_connection_and_the_next_use_opens_another(kind: Kind, database: Any) -> None:
    database.close()  # nothing is open yet
    with database.reading() as db:
        inherited = id(db.connection())
    in_child = in_a_child(lambda: f"{count(kind, database)} {id(database._database().connection()) != inherited}")
    assert in_child == "0 True", "a forked child opens a connection of its own"
    with database.reading() as db:
        assert id(db.connection()) == inherited
    database.close()
    assert db.is_closed()
    assert count(kind, database) == 0


def test_an_older_file_is_walked_up_once_and_keeps_its_rows(kind: Kind, database: Any, path: Path) -> None:
    with database.writing() as db:
        db.execute_sql(kind.insert)
    for _ in range(2):
        with kind.open(path, migrations=kind.next).reading() as db:
            assert db.execute_sql(f"SELECT mood FROM {kind.table}").fetchall() == [("calm",)]
        assert version(kind, path) == [(len(kind.next),)]


def test_a_migration_that_fails_changes_nothing(kind: Kind, database: Any, path: Path) -> None:
    database.prepare()
    broken = (*kind.migrations, (*kind.next[-1], "ALTER TABLE nothing ADD COLUMN mood TEXT"))
    with pytest.raises(kind.trouble):
        kind.open(path, migrations=broken).prepare()
    with kind.open(path).reading() as db:
        assert "mood" not in [column.name for column in db.get_columns(kind.table)]
    assert version(kind, path) == [(len(kind.migrations),)]


def test_a_newer_schema_is_refused_and_left_alone(kind: Kind, database: Any, path: Path) -> None:
    kind.open(path, migrations=kind.next).prepare()
    with pytest.raises(kind.too_new) as refused:
        database.prepare()
    text = one_sentence(refused.value, path)
    assert f"schema {len(kind.next)}" in text and f"up to {len(kind.migrations)}" in text
    assert version(kind, path) == [(len(kind.next),)]


def test_a_file_of_another_program_is_refused_and_left_alone(kind: Kind, database: Any, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (id TEXT)")
        with pytest.raises(kind.trouble, match="recipes") as refused:
            database.prepare()
        one_sentence(refused.value, path)
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


def test_a_place_where_no_file_can_be(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "folder", tmp_path / "file" / "a.db"):
        with pytest.raises(kind.trouble) as refused:
            kind.open(path).prepare()
        one_sentence(refused.value, path)


@pytest.mark.parametrize(("file_mode", "found"), [(0o444, "cannot be written"), (0o000, "cannot be opened")])
def test_a_file_without_permission(kind: Kind, file_mode: int, found: str) -> None:
    with public_folder() as folder:
        path = folder / "a.db"
        made = kind.open(path)
        made.prepare()
        made.close()
        path.chmod(file_mode)
        folder.chmod(0o555)

        def use() -> str:
            become_nobody()
            try:
                with kind.open(path).writing() as db:
                    db.execute_sql(kind.insert)
            except kind.trouble as error:
                return one_sentence(error, path)
            return "it was accepted"

        try:
            assert found in in_a_child(use)
        finally:
            folder.chmod(0o755)


def test_a_lock_that_lasts_is_reported_and_forgotten_when_it_ends(kind: Kind, path: Path) -> None:
    database = kind.open(path, busy_timeout_s=0.05)
    database.prepare()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(kind.trouble, match=r"locked for 0\.05 s") as refused, database.writing():
            pass
        one_sentence(refused.value, path)
        assert count(kind, database) == 0, "who reads is not held up"
        other.execute("ROLLBACK")
    with database.writing() as db:
        with (
            closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")  # a writer takes the lock before it reads
        db.execute_sql(kind.insert)
    assert count(kind, database) == 1
