"""A file that cannot be used: told in one sentence, left as it is, and used again once it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.monitor.access import Access, AccessUnavailable
from tests.support.troubles import one_sentence


def test_a_file_that_is_no_database_is_refused(access: Access, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(AccessUnavailable, match="not a sound SQLite file") as refused:
        access.accounts.list()
    one_sentence(refused.value, path)
    assert path.read_bytes() == b"Dear diary, " * 1000


def test_a_damaged_page_is_found_at_the_start(access: Access, url: str, path: Path) -> None:
    for n in range(200):
        access.audit.record("ada", "web", "", "note", "x" * 200, n)
    access.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    with pytest.raises(AccessUnavailable, match="not a sound SQLite file") as refused:
        Access(url).prepare()
    one_sentence(refused.value, path)


def test_a_file_that_vanishes_is_missed_and_not_made_again(access: Access, path: Path) -> None:
    access.accounts.create("ada", "admin", "a password")
    access.close()
    path.unlink()
    with pytest.raises(AccessUnavailable, match="cannot be opened") as refused:
        access.accounts.list()
    one_sentence(refused.value, path)
    assert not path.exists()


def test_a_file_that_is_emptied_is_reported_and_works_again_when_restored(access: Access, path: Path) -> None:
    access.accounts.create("ada", "admin", "a password")
    access.close()
    backup = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(AccessUnavailable, match="lost its tables") as refused:
        access.accounts.list()
    one_sentence(refused.value, path)
    path.write_bytes(backup)
    assert [account.name for account in access.accounts.list()] == ["ada"]


def test_a_full_disk_is_reported_and_nothing_is_half_written(access: Access, path: Path) -> None:
    access.audit.record("ada", "web", "", "first", "")
    with access._database.reading() as db:
        db.execute_sql("PRAGMA max_page_count = 1")  # at least as many as there are
    with pytest.raises(AccessUnavailable, match="disk is full") as refused, access.transaction():
        access.tokens.create("bot", ["read"])
        for n in range(100):
            access.audit.record("ada", "web", "", "more", "x" * 200, n)
    one_sentence(refused.value, path)
    assert [entry.action for entry in access.audit.page()] == ["first"]
    assert access.tokens.list() == ()
    for n in range(100):  # the failed connection was dropped, and its limit with it
        access.audit.record("ada", "web", "", "more", "x" * 200, n)
