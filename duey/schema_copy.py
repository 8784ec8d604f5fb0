"""The copy of a database that is kept when its schema is migrated: NAME.schema-3 beside NAME, for a way back.

It is made within the transaction that migrates, so it holds exactly what the migration began with. If the process dies
meanwhile, the next start finds the old schema and makes the copy again. There is one copy for each schema version, and
of all of them the newest two are kept. docs/upgrading.md says how to go back with one.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from duey import files

logger = logging.getLogger(__name__)
KEPT = 2
SPARE = 1 << 20  # bytes


class NoCopy(Exception):
    """The copy cannot be made, so nothing was migrated. The message is what follows the name of the file."""


def room_needed(path: Path | str) -> int:
    """How many bytes a migration may need: for the copy, and as much again for what it writes."""
    return 2 * sum(os.path.getsize(each) for each in (path, f"{path}-wal") if os.path.exists(each)) + SPARE


def lacking_room(path: Path | str) -> str:
    """Why there is no room for a migration, or ""."""
    needed, free = room_needed(path), files.free_bytes(str(path))
    if free >= needed:
        return ""
    return (
        f"needs {needed / 2**20:,.0f} MB of free disk for its migration and the copy that is kept, "
        f"found {free / 2**20:,.0f} MB: make room, then start again"
    )


def keep(path: Path | str, version: int, newest: int) -> Path:
    """Copy the database as it is, synced and private, while the caller holds its write lock. Raises NoCopy."""
    target, part = Path(f"{path}.schema-{version}"), Path(f"{path}.schema-{version}.part")
    if lacking := lacking_room(path):
        raise NoCopy(lacking)
    try:
        part.unlink(missing_ok=True)
        files.make_file(part)
        with (
            closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(part)) as copy,
        ):
            source.backup(copy)
            copy.execute("pragma journal_mode = delete").fetchone()  # one file, whoever opens it
        files.sync(part)
        os.replace(part, target)
        files.sync(part.parent)
    except (OSError, sqlite3.Error) as exc:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise NoCopy(
            f"cannot be migrated, because its copy {target} cannot be written ({exc}): let this user write there"
        ) from exc
    logger.warning("%s: migrating schema %d to %d; the file as it was is kept as %s", path, version, newest, target)
    for _, surplus in kept(path)[:-KEPT]:
        with suppress(OSError):
            surplus.unlink()
    return target


def kept(path: Path | str) -> list[tuple[int, Path]]:
    """The copies of a database that exist, oldest version first."""
    path = Path(path)
    named = re.compile(re.escape(path.name) + r"\.schema-(\d+)")
    found = [(int(match[1]), each) for each in path.parent.iterdir() if (match := named.fullmatch(each.name))]
    return sorted(found)
