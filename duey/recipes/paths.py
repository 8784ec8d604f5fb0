"""The files that a task is given by name: in which folders they may be, and which ones no task may touch."""

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
# Code and settings: reading them tells too much, whatever folder the operator has allowed.
_CODE_NAMES = (".py", ".pyc", ".pth", ".so", ".ini", ".toml", ".env")
_SYSTEM_FOLDERS = (Path("/proc"), Path("/sys"), Path("/dev"))  # what stands there is no file: /proc/self/environ


@dataclass(frozen=True)
class Files:
    """Where tasks may read and write.

    root: what relative names are relative to. folders: every file must be below one of them, wherever links and `..`
    lead. own: files (or sqlite:/// URLs) and folders of the service itself, which no task reads or writes.
    Who can change links inside of an allowed folder while a task runs is trusted.
    """

    root: Path
    folders: Sequence[Path]
    own: Sequence[str | Path] = ()

    def database(self, name: str) -> Path:
        """The path of a SQLite database that a task may write or make. Raises Refused."""
        path = self.located(name)
        if path.suffix.lower() not in _DATABASE_NAMES:
            raise Refused(
                f"expected a database's name with {', '.join(_DATABASE_NAMES)} at its end, found {name[:100]!r}"
            )
        if path.parent in self.folders:  # one that the settings name need not be there yet
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def located(self, name: str) -> Path:
        """The path of a file that a task may read. Raises Refused for what is no path, outside of all allowed folders,
        or the service's own."""
        try:
            path = self.root / name
            real = Path(os.path.realpath(path))
            os.fsencode(real)
            if not name or "\0" in name:
                raise ValueError
        except ValueError:  # UnicodeEncodeError: half of a surrogate pair
            raise Refused(f"expected a path, found {name[:100]!r}") from None
        if not any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders):
            allowed = ", ".join(map(str, self.folders)) or "none"
            raise Refused(f"{path} is outside of the folders that jobs may use ([files] allow_folders: {allowed})")
        own = [database_file(each) for each in self.own]
        if (
            any(real.is_relative_to(os.path.realpath(each)) for each in (*own, *_SYSTEM_FOLDERS))
            or real.name.endswith(_SIDE_FILES)
            or real.suffix.lower() in _CODE_NAMES
            or any(_same_file(real, each) for each in own)  # a hard link
        ):
            raise Refused(f"{path} belongs to the service, to its code or to the system: choose another file")
        return path


def database_file(location: str | Path) -> Path:
    """The file of a path or a sqlite:/// URL."""
    return Path(str(location).removeprefix(_URL))


def _same_file(path: Path, own: Path) -> bool:
    try:
        mine = own.stat()
        return stat.S_ISREG(mine.st_mode) and os.path.samestat(path.stat(), mine)
    except OSError:  # one of them is not there
        return False
