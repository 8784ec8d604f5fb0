"""The author's timetable: what this service does by itself. Replace these examples by your own, or keep them.

A schedule is a function without parameters under `@huey.periodic_task(...)`; its times are those of
[schedule] timezone.
"""

from __future__ import annotations

import socket
from datetime import datetime, timezone
from typing import Any

from duey import Discard, crontab, huey, progress, settings
from duey.recipes import Refused, backup_set, paths, sqlite_backup


@huey.periodic_task(crontab(minute="30", hour="3"), retries=3, retry_delay=60)
def nightly_backup() -> dict[str, Any]:
    """Copy the databases of this service into [periodic] backup_folder, in a folder named by the UTC day.

    The newest [periodic] backup_keep days are kept, older ones are removed. What is on a server (Redis, PostgreSQL) is
    not copied: let the server back it up.

    Returns {"host", "folder", "bytes": {file: size}, "not_copied": {what: why}, "removed": [day]}.
    Where none of the files is on this host, or the history here is not the one that is recorded, it fails: let the host
    of the web process run it. A damaged database fails at once; a locked one and a full disk are tried again 3 times, a
    minute apart.
    """
    host = socket.gethostname()
    databases = {"monitor.db": settings.monitor.database, "access.db": settings.auth.database}
    if settings.storage.backend == "sqlite":
        # First: what moves on meanwhile is in both then, instead of in neither.
        databases = {"queue.db": str(settings.storage.path), **databases}
    sources = {name: file for name, location in databases.items() if (file := paths.database_file(location))}
    servers = [name for name in ("queue", "monitor", "access") if f"{name}.db" not in sources]
    not_copied = dict.fromkeys(servers, "it is on a server: let that back it up")
    if not sources:
        return {"host": host, "folder": None, "bytes": {}, "not_copied": not_copied, "removed": []}
    if not any(file.exists() for file in sources.values()):
        files = ", ".join(map(str, sources.values()))
        raise Discard(f"expected {files}, found none on this host: let the host of the web process run this schedule")
    for name, file in sources.items():
        if not file.exists():
            not_copied[name.removesuffix(".db")] = f"there is no {file} on this host"
    owner, history = huey.storage.outbox_owner(), sources.get("monitor.db")
    folder = settings.periodic.backup_folder / datetime.now(timezone.utc).strftime("%Y-%m-%d")
    try:
        if owner and history and backup_set.identity(history) != owner.history:
            found = f"found {owner.where}, and not {host}:{history}"
            raise Discard(f"expected the history that is recorded, {found}: let the host of the web process run this")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sizes = backup_set.copy_all(sources, folder, progress=progress)
    except Refused as error:
        raise Discard(str(error)) from error
    removed = sqlite_backup.prune(settings.periodic.backup_folder, settings.periodic.backup_keep)
    return {"host": host, "folder": str(folder), "bytes": sizes, "not_copied": not_copied, "removed": removed}


@huey.periodic_task(crontab(minute="*/5"), ping=settings.periodic.heartbeat_url or None)
def heartbeat() -> None:
    """Do nothing but be run: its ping tells [periodic] heartbeat_url, a dead man's switch, that schedules and jobs run.

    What is told, and what becomes of a ping that is not taken, docs/schedules.md says.
    """
