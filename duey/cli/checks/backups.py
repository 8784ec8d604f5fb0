"""Backups: the age of the newest one, and a quick look whether it can be restored."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from duey.cli.checks import FAIL, OK, WARN, Finding
from duey.cli.commands.copies import databases, on_servers, schema_version
from duey.recipes import Refused, backup_set

OLDEST_BACKUP_S = 36 * 3600.0  # a day, and half a day for a backup that is late


def backups(settings: Any, now: float | None = None) -> Iterator[Finding]:
    """Whether there is a complete backup, how old it is, and whether it can be read."""
    folder = Path(settings.periodic.backup_folder)
    if servers := on_servers(settings):
        text = f"what is on PostgreSQL ({', '.join(servers)}) cannot be checked from here"
        yield Finding(WARN, "backup", f"{text}: make sure that pg_dump, or the server's own backup, runs")
    if not databases(settings):
        return
    lists = (*folder.glob(backup_set.LIST), *folder.glob(f"*/{backup_set.LIST}"))
    made = {path.parent: path.stat().st_mtime for path in lists if is_complete(path.parent)}
    subject = "backup"
    if not made:
        text = f"no complete one in {folder}: run `duey backup {folder}/FIRST`, and keep nightly_backup in periodic.py"
        yield Finding(FAIL, subject, text)
        return
    newest = max(made, key=lambda each: made[each])
    age_h = ((time.time() if now is None else now) - made[newest]) / 3600
    if age_h * 3600 > OLDEST_BACKUP_S:
        text = f"the newest complete one in {folder} is {age_h:.0f} h old: find out why nightly_backup does not run"
        yield Finding(FAIL, subject, text)
    elif fault := unreadable(newest):
        yield Finding(FAIL, subject, f"{newest} cannot be restored: {fault}; make another one, and look at its disk")
    else:
        yield Finding(OK, subject, f"{max(age_h, 0):.0f} h old, in {folder}")


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a backup that was not cut short."""
    try:
        files = backup_set.listed(folder)
    except (Refused, OSError):
        return False
    return bool(files) and all((folder / name).is_file() for name in files or ())


def unreadable(folder: Path) -> str:
    """Why a restore would refuse the backup, or "". A quick look: a restore compares the contents as well."""
    for name, listed in (backup_set.listed(folder) or {}).items():
        path = folder / name
        if path.stat().st_size != listed.bytes:
            return f"{name} has {path.stat().st_size} bytes instead of {listed.bytes}"
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as con:
                version, newest = schema_version(name.removesuffix(".db"), con)
        except sqlite3.Error as exc:
            return f"{name} is no database of Duey ({exc})"
        if not 0 < version <= newest:
            return f"{name} has schema {version}, and this Duey knows {newest}"
    return ""
