"""recipes.paths: what a task may read and write."""

import re
from pathlib import Path

import pytest

from recipes import Refused, paths


def test_a_name_is_relative_to_the_root(tmp_path: Path) -> None:
    assert paths.located(tmp_path, "a/b.csv") == tmp_path / "a" / "b.csv"
    assert paths.located(tmp_path, "/x/y.csv") == Path("/x/y.csv")


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_can_be_no_path(tmp_path: Path, name: str) -> None:
    for find in (paths.located, lambda root, name: paths.writable(root, name, [])):
        with pytest.raises(Refused, match="expected a path"):
            find(tmp_path, name)


def test_the_services_databases_are_not_writable_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    own = tmp_path / "data" / "access.db"
    own.touch()
    (tmp_path / "symbolic").symlink_to(own)
    (tmp_path / "hard").hardlink_to(own)
    names = ["data/access.db", str(own), "data/../data/access.db", "symbolic", "hard"]
    for location in (own, f"sqlite:///{own}"):
        for name in names:
            with pytest.raises(Refused, match="is a database of the service itself"):
                paths.writable(tmp_path, name, [tmp_path / "absent", location])


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_side_files_are_not_writable(tmp_path: Path, end: str) -> None:
    with pytest.raises(Refused, match="side file"):
        paths.writable(tmp_path, f"queue.db{end}", [])


def test_anything_else_is_writable(tmp_path: Path) -> None:
    (tmp_path / "access.db").touch()
    (tmp_path / "mine.db").touch()
    for name in ("mine.db", "new.db"):
        assert paths.writable(tmp_path, name, [tmp_path / "access.db"]) == tmp_path / name


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders that are allowed, one of them a link, beside one that is not; links lead out of them."""
    for name in ("in", "real", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "out").symlink_to("real")
    (tmp_path / "in" / "away").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "secret" / "new.db")
    return [tmp_path / "in", tmp_path / "out"]


@pytest.mark.parametrize("name", ["in/a.csv", "out/a.csv", "real/a.csv", "in/../out/new/a.csv"])
def test_what_is_below_a_folder_is_allowed(tmp_path: Path, folders: list[Path], name: str) -> None:
    assert paths.located(tmp_path, name, folders) == tmp_path / name
    assert paths.writable(tmp_path, str(tmp_path / name), [], folders) == tmp_path / name


@pytest.mark.parametrize(
    "name", ["a.csv", "secret/a.csv", "in/../secret/a.csv", "in/away/a.csv", "in/file", "inside/a.csv", "/etc/passwd"]
)
def test_what_is_outside_of_all_folders_is_refused_wherever_links_lead(
    tmp_path: Path, folders: list[Path], name: str
) -> None:
    sentence = f"is outside of the folders that jobs may use ([files] allow_folders: {folders[0]}, {folders[1]})"
    for find in (paths.located, lambda root, name, folders: paths.writable(root, name, [], folders)):
        with pytest.raises(Refused, match=re.escape(sentence)):
            find(tmp_path, name, folders)
