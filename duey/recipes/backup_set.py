"""A backup of several SQLite databases as one set: a folder with the copies and a list of them, with which a restore
checks that the set is complete.

The list is first written as "not complete", then the copies are made, and then the list is written again as complete.
So a restore detects a backup that was interrupted, and one that mixes the files of two backups.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from duey.recipes import Refused
from duey.recipes.sqlite import opened
from duey.recipes.sqlite_backup import Progress, copy

LIST = "backup.json"


class Listed(NamedTuple):
    """One file of a backup, as in the list."""

    bytes: int
    sha256: str


def copy_all(sources: Mapping[str, Path], folder: Path, *, progress: Progress) -> dict[str, int]:
    """Copy the databases that exist, in this order, to the given names in `folder`. Return the bytes of each copy.

    Raises Refused and Unavailable as `sqlite_backup.copy` does, and OSError if the list cannot be written.
    """
    write_list(folder, complete=False, files={})
    found = {name: source for name, source in sources.items() if source.is_file()}
    sizes = {name: int(copy(source, folder / name, progress=progress)["bytes"]) for name, source in found.items()}
    write_list(folder, complete=True, files={name: Listed(size, digest(folder / name)) for name, size in sizes.items()})
    return sizes


def listed(folder: Path) -> dict[str, Listed] | None:
    """Return the files of a complete backup by name, or None if there is no list, as in backups of older versions.

    Raises Refused if the list is unreadable or says that the backup was interrupted.
    """
    try:
        read = json.loads((folder / LIST).read_bytes())
        files = {name: Listed(int(one["bytes"]), str(one["sha256"])) for name, one in read["files"].items()}
        complete = read["complete"] is True
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Refused(f"expected the list of a backup in {folder / LIST}, found something else") from None
    if not complete:
        raise Refused(f"expected a complete backup in {folder}, found one that was cut short")
    return files


def identity(history: Path) -> str:
    """Return the identity of a history, as the queue's storage calls the one that is recorded. '' if it has none.

    Raises Refused (no database) and Unavailable (locked).
    """
    if not history.exists():
        return ""
    with opened(history) as con:
        row = con.execute("SELECT value FROM marks WHERE name = 'identity'").fetchone()
    return f"{int(row[0]):013x}" if row else ""


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    summed = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            summed.update(part)
    return summed.hexdigest()


def write_list(folder: Path, *, complete: bool, files: Mapping[str, Listed]) -> None:
    """Replace the list atomically and sync it. Raises OSError."""
    text = json.dumps({"complete": complete, "files": {name: one._asdict() for name, one in files.items()}}, indent=1)
    partial = folder / f".{LIST}.partial"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / LIST)
