"""Back up and restore all databases of the service.

The queue is copied before the history. An event that is recorded between the two copies is then in both, and recording
it again changes nothing. In the other order it could be missing from both.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

from duey import files as config_files
from duey.cli.context import Office, Refused, say
from duey.config import sqlite_path
from duey.recipes import Refused as RecipeRefused
from duey.recipes import Unavailable, sqlite_backup


def databases(settings: Any) -> dict[str, Path]:
    """The SQLite files of the service by role, in the order in which they are copied."""
    found = {"monitor": sqlite_path(settings.monitor.database), "access": sqlite_path(settings.auth.database)}
    if settings.storage.backend == "sqlite":
        return {"queue": Path(settings.storage.path), **found}
    return found


def backup(office: Office, options: argparse.Namespace) -> None:
    """Copy all databases into a folder, each consistently, while the service runs."""
    folder = Path(options.folder)
    config_files.make_folder(folder)
    for role, source in databases(office.settings).items():
        if not source.exists():
            say(f"{role}: there is none yet")
            continue
        try:
            done = sqlite_backup.copy(source, folder / f"{role}.db", progress=lambda *_: None)
        except (RecipeRefused, Unavailable) as exc:
            raise Refused(f"the backup of {role} failed: {exc}") from None
        say(f"{role}: {done['bytes']} bytes to {folder / f'{role}.db'}")
    if office.settings.storage.backend == "redis":
        say("queue: it is in Redis, whose own files (appendonly, RDB) are its backup")
    office.audit("backup", str(folder))


def restore(office: Office, options: argparse.Namespace) -> None:
    """Put back the databases that `backup` copied.

    The service must be stopped. The databases that are replaced are kept beside the new ones as *.before.
    """
    folder = Path(options.folder)
    settings = office.settings
    found = {role: folder / f"{role}.db" for role in databases(settings) if (folder / f"{role}.db").exists()}
    if not found:
        raise Refused(f"{folder} holds no backup (queue.db, monitor.db, access.db): name a folder that `backup` filled")
    refuse_while_running(office)
    for role, copy in found.items():
        target = databases(settings)[role]
        config_files.make_folder(target.parent)
        fresh = target.with_name(f"{target.name}.restored")
        fresh.unlink(missing_ok=True)
        config_files.make_file(fresh)
        shutil.copyfile(copy, fresh)
        for suffix in ("", "-wal", "-shm"):
            old = Path(f"{target}{suffix}")
            if old.exists():
                os.replace(old, Path(f"{target}.before{suffix}"))
        os.replace(fresh, target)
        config_files.mend_database(f"{target}.before")
        say(f"{role}: restored to {target}")
    office.audit("restore", str(folder))


def refuse_while_running(office: Office) -> None:
    """Raise Refused if a process of the service is running: its databases must not be replaced."""
    from duey.errors import StorageUnavailable  # here: it reads the settings, and manage.py says what is wrong there

    path = Path(office.settings.storage.path)
    folder = path.parent if office.settings.storage.backend == "sqlite" else office.settings.root / "data"
    running, held = [], False
    with contextlib.suppress(StorageUnavailable):  # a queue that is broken is why somebody restores
        running = [w for w in office.huey.storage.worker_infos() if w.alive] if path.exists() else []
    lock = folder / "app.lock"
    if lock.exists():
        with open(lock, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                held = True
    office.huey.storage.close()
    if running or held:
        raise Refused("the service is running: stop it (and every consumer) before a restore")
