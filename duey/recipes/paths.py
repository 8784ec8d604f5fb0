"""Checks of file names that a task receives: the folders that it may use, and the files that no task may touch."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duey.recipes import Refused

_URL = "sqlite:///"
_SIDE_FILES = ("-wal", "-shm", "-journal")
_DATABASE_NAMES = (".db", ".sqlite", ".sqlite3")
# Code and settings. Tasks must not read them, whatever folders the operator allows.
_CODE_NAMES = (".py", ".pyc", ".pth", ".so", ".ini", ".toml", ".env")
_SYSTEM_FOLDERS = (Path("/proc"), Path("/sys"), Path("/dev"))  # not regular files; /proc/self/environ holds secrets


@dataclass(frozen=True)
class Files:
    """The files that tasks may read and write.

    root: the base of relative names. folders: each file must be below one of them, after links and `..` are resolved.
    own: the service's own files (or sqlite:/// URLs) and folders, which no task may read or write.
    There is no protection against a user who changes links in an allowed folder while a task runs.
    """

    root: Path
    folders: Sequence[Path]
    own: Sequence[str | Path] = ()

    def database(self, name: str) -> Path:
        """Return the path of a SQLite database that a task may write or create. Raises Refused."""
        path = self.located(name)
        if path.suffix.lower() not in _DATABASE_NAMES:
            raise Refused(
                f"expected a database's name with {', '.join(_DATABASE_NAMES)} at its end, found {name[:100]!r}"
            )
        if path.parent in self.folders:  # a folder from the settings is created if missing
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def located(self, name: str) -> Path:
        """Return the path of a file that a task may read. Raises Refused if it is not a valid path, is outside of all
        allowed folders, or belongs to the service."""
        try:
            path = self.root / name
            real = Path(os.path.realpath(path))
            os.fsencode(real)
            if not name or "\0" in name:
                raise ValueError
        except ValueError:  # UnicodeEncodeError, for half of a surrogate pair
            raise Refused(f"expected a path, found {name[:100]!r}") from None
        if not any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders):
            allowed = ", ".join(map(str, self.folders)) or "none"
            raise Refused(f"{path} is outside of the folders that jobs may use ([files] allow_folders: {allowed})")
        own = [file for each in self.own if (file := database_file(each))]
        if (
            any(real.is_relative_to(os.path.realpath(each)) for each in (*own, *_SYSTEM_FOLDERS))
            or real.name.endswith(_SIDE_FILES)
            or real.suffix.lower() in _CODE_NAMES
            or any(_same_file(real, each) for each in own)  # detects hard links
        ):
            raise Refused(f"{path} belongs to the service, to its code or to the system: choose another file")
        return path


def database_file(location: str | Path) -> Path | None:
    """Return the file of a path or a sqlite:/// URL, None for a database on a server."""
    path = str(location).removeprefix(_URL)
    return None if "://" in path else Path(path)


def _same_file(path: Path, own: Path) -> bool:
    try:
        mine = own.stat()
        return stat.S_ISREG(mine.st_mode) and os.path.samestat(path.stat(), mine)
    except OSError:  # one of the files does not exist
        return False
