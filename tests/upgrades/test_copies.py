"""A migration keeps a copy of the file as it was, or does not begin."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey import files, schema_copy
from duey.config import Settings, load
from duey.errors import StorageFull
from duey.instance import make_storage
from duey.monitor.access import Access, AccessUnavailable
from duey.monitor.history import History, HistoryUnavailable
from tests.upgrades.test_old_files import NEWEST, unpack, version

OPENS: dict[str, tuple[Callable[[Settings], Any], type[Exception]]] = {
    "queue": (make_storage, StorageFull),
    "monitor": (lambda settings: History(settings.monitor.database, settings.monitor), HistoryUnavailable),
    "access": (Access.of, AccessUnavailable),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config.ini").touch()
    unpack("1", tmp_path)
    return load(tmp_path / "config.ini", {})


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as con:
        return list(con.iterdump())


def test_the_file_as_it_was_is_kept_private_and_as_one_file(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for role, (open_it, _) in OPENS.items():
        path = tmp_path / "data" / f"{role}.db"
        copy, before = path.with_name(f"{role}.db.schema-1"), dump(path)
        copy.with_suffix(".schema-1.part").write_text("left by a start that died")
        for _ in range(2):
            with closing(open_it(settings)) as opened:
                opened.prepare()
        assert dump(copy) == before
        assert copy.stat().st_mode & 0o777 == 0o600
        assert {each.name for each in path.parent.glob(f"{role}.db.*")} == {copy.name}
        said = f"{path}: migrating schema 1 to {NEWEST[role]}; the file as it was is kept as {copy}"
        assert caplog.messages.count(said) == 1


def test_without_room_for_the_copy_nothing_is_migrated(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda path: 1 << 20)
    for role, (open_it, trouble) in OPENS.items():
        path = tmp_path / "data" / f"{role}.db"
        with (
            pytest.raises(trouble, match="MB of free disk for its migration") as refused,
            closing(open_it(settings)) as it,
        ):
            it.prepare()
        assert str(path) in str(refused.value) and "\n" not in str(refused.value)
        assert version(role, path) == 1
        assert not list(path.parent.glob(f"{role}.db.schema*"))


def test_the_newest_two_copies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as con:
        con.execute("create table t (v)")
        for number in (2, 9, 10, 3, 11):
            schema_copy.keep(path, number, number + 1)
    assert [number for number, _ in schema_copy.kept(path)] == [10, 11]


def test_a_death_while_migrating_leaves_the_old_file(settings: Settings, tmp_path: Path) -> None:
    """Nothing but the commit changes the file, and SQLite rolls back what was not committed."""
    path = tmp_path / "data" / "queue.db"
    before = dump(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("begin immediate")
        schema_copy.keep(path, 1, 2)
        con.execute("drop table jobs")
    assert dump(path) == before == dump(path.with_name("queue.db.schema-1"))
