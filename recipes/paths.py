"""The files that a task is given by name: where they are, and which ones are not for it to write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from recipes import Refused

_URL = "sqlite:///"
_SIDE_FILES = ("-wal", "-shm", "-journal")


def located(root: Path, name: str, folders: Sequence[Path] = ()) -> Path:
    """The path of the name, relative to `root` unless absolute. Raises Refused for what can be no path and, where
    `folders` are given, for what is below none of them, wherever links and `..` lead now: who can change links there
    is trusted."""
    if not name or "\0" in name:
        raise Refused(f"expected a path, found {name[:100]!r}")
    path = root / name
    if folders:
        try:
            real = Path(os.path.realpath(path))
        except ValueError:  # half of a surrogate pair
            raise Refused(f"expected a path, found {name[:100]!r}") from None
        if not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders):
            allowed = ", ".join(map(str, folders))
            raise Refused(f"{path} is outside of the folders that jobs may use ([files] allow_folders: {allowed})")
    return path


def writable(root: Path, name: str, own: Iterable[str | Path], folders: Sequence[Path] = ()) -> Path:
    """As `located`; Refused for the files `own`, under any of their names, and for side files of databases.

    Otherwise whoever may enqueue a job could overwrite the accounts of the service.
    """
    path = located(root, name, folders)
    if path.name.endswith(_SIDE_FILES):
        raise Refused(f"{path} is named like a side file of a SQLite database: choose another name")
    files = [file for file in map(database_file, own) if file.is_file()]
    if path.exists() and any(os.path.samefile(path, file) for file in files):
        raise Refused(f"{path} is a database of the service itself: choose another file")
    return path


def database_file(location: str | Path) -> Path:
    """The file of a path or a sqlite:/// URL."""
    return Path(str(location).removeprefix(_URL))
