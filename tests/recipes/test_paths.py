"""duey.recipes.paths: what a task may read and write."""

import re
from pathlib import Path

import pytest

from duey.recipes import Refused
from duey.recipes.paths import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Two folders that are allowed, one of them a link, beside one that is not; links lead out of them."""
    for name in ("in", "real", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "out").symlink_to("real")
    (tmp_path / "in" / "away").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "file.db").symlink_to(tmp_path / "secret" / "new.db")
    for name in ("in/a.csv", "real/a.csv", "secret/a.csv"):
        (tmp_path / name).touch()
    return Files(tmp_path, [tmp_path / "in", tmp_path / "out"])


def test_what_is_below_a_folder_is_allowed(files: Files) -> None:
    for name in ("in/a.csv", "out/a.csv", "real/a.csv", "in/../out/a.csv", f"{files.root}/in/a.csv"):
        assert files.located(name) == files.root / name
    for name in ("in/new.db", "out/x/new.SQLITE", "in/mine.sqlite3"):
        assert files.database(name) == files.root / name


def test_what_is_outside_of_all_folders_is_refused_wherever_links_lead(files: Files) -> None:
    folders = ", ".join(map(str, files.folders))
    sentence = re.escape(f"is outside of the folders that jobs may use ([files] allow_folders: {folders})")
    outside = ["a.db", "secret/a.csv", "in/../secret/a.db", "in/away/a.db", "in/file.db", "inside/a.db", "/etc/passwd"]
    for names, expected in ((outside, sentence), (["", "a\0b", "\ud800"], "expected a path")):
        for name in names:
            for find in (files.located, files.database):
                with pytest.raises(Refused, match=expected):
                    find(name)
                    pytest.fail(f"found {name!r}")
    with pytest.raises(Refused, match="allow_folders: none"):
        Files(files.root, []).located("in/a.csv")
    for name in ("in/authorized_keys", "in/evil.pth", "in/.db", "in/new.db.txt"):  # a new database is named like one
        with pytest.raises(Refused, match=r"expected a database's name|to its code"):
            files.database(name)


def test_a_folder_that_the_settings_name_is_made_when_it_is_needed(tmp_path: Path) -> None:
    made = Files(tmp_path, [tmp_path / "data" / "files"]).database("data/files/new.db").parent
    assert made.is_dir() and made.stat().st_mode & 0o777 == 0o700


def test_the_services_own_files_are_neither_read_nor_written_under_any_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "backups" / "2026-01-01").mkdir(parents=True)
    for name in ("access.db", "access.db-wal", "backups/2026-01-01/access.db", "tasks.py", "config.ini"):
        (data / name).touch()
    (tmp_path / "symbolic.db").symlink_to(data / "access.db")
    (tmp_path / "hard.db").hardlink_to(data / "access.db")
    names = [
        "data/access.db", f"{data}/access.db", "data/../data/access.db", "symbolic.db", "hard.db", "data/access.db-wal",
        "data/backups/2026-01-01/access.db", "data/backups/new.db", "data/tasks.py", "data/config.ini",
        "/proc/self/environ", "/dev/stdin",
    ]  # fmt: skip
    for location in (data / "access.db", f"sqlite:///{data}/access.db"):
        files = Files(tmp_path, [Path("/")], [tmp_path / "absent", location, data / "backups"])
        for name in names:
            with pytest.raises(Refused, match="belongs to the service, to its code or to the system"):
                files.located(name)
            with pytest.raises(Refused, match=r"belongs to the service|expected a database's name"):
                files.database(name)
        assert files.database("mine.db") == tmp_path / "mine.db"
