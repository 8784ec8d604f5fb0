"""The files of the service are private to its user: this module creates them and corrects the mode of older ones.

Files are created with mode 0600 and folders with 0700, whatever the umask. SQLite gives its side files (-wal, -shm and
-journal) the mode of the database. The programs also set umask 077 for everything that they and their tasks create. A
task module may set another umask when it is imported, for the files of its own tasks.
"""

from __future__ import annotations

import glob
import os
import pwd
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE, FOLDER, OTHERS = 0o600, 0o700, 0o077
LEAST_FREE = 2 * 2**20  # bytes: with less, SQLite's next write may fail
SIDE_FILES = ("-wal", "-shm", "-journal")  # of a SQLite database
_creating = threading.Lock()


def make_folder(folder: Path) -> None:
    """Make a private folder, and its missing parents. Raises OSError."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(mode=FOLDER, exist_ok=True)


def make_file(path: Path | str) -> None:
    """Make an empty private file if there is none. Raises OSError."""
    # Closing any descriptor of a database drops this process's SQLite locks on it. So only a new file is opened and
    # closed, while no other thread can open it.
    with _creating, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE))


def sync(path: Path | str) -> None:
    """Let the contents of a file, or the names in a folder, survive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def mend(path: Path | str) -> None:
    """Remove the access of other users to a file or folder. Does nothing if it is missing or another user owns it."""
    with suppress(OSError):
        mode = os.stat(path).st_mode
        if mode & OTHERS:
            os.chmod(path, mode & 0o7777 & ~OTHERS)


def mend_database(path: Path | str) -> None:
    """Do the same as `mend` for a database and its side files."""
    for ending in ("", *SIDE_FILES):
        mend(f"{path}{ending}")


def close_to_others(settings: Any) -> None:
    """Set umask 077 and make the service's older files private; called first by each program. Only folders that belong
    to the service are changed: `data` beside config.ini, the backup folder and the folder of the workers."""
    os.umask(os.umask(OTHERS) | OTHERS)
    data = Path(settings.root) / "data"
    urls = [str(each.database) for each in (settings.monitor, settings.auth)]
    databases = [Path(url.removeprefix("sqlite:///")) for url in urls if url.startswith("sqlite:///")]
    if settings.storage.backend == "sqlite":
        databases.append(Path(settings.storage.path))
    for path in databases:
        mend_database(path)
        mend(path.with_suffix(".key"))  # of the second factors, beside the accounts
        # Copies set aside or restored, lock files, the folder of the workers.
        for aside in path.parent.glob(f"{glob.escape(path.name)}[.-]*"):
            mend(aside)
        if path.parent == data:
            mend(data)
    mend(settings.periodic.backup_folder)
    for backup in Path(settings.periodic.backup_folder).glob("*"):
        if backup.is_dir():
            mend(backup)
            for path in backup.glob("*.db"):
                mend(path)


def owner_if_other(path: str) -> str:
    """Return the name of the user who owns the file, or else its folder; '' if that is root or this process's user."""
    uids = (os.stat(each).st_uid for each in (path, os.path.dirname(path) or ".") if os.path.exists(each))
    try:
        uid = next(uids, 0)
        return "" if uid in (0, os.geteuid()) else pwd.getpwuid(uid).pw_name
    except OSError:
        return ""
    except KeyError:  # a container has no name for it
        return str(uid)


def free_bytes(path: str) -> int:
    """Return how much this user can still write to the file system that holds the file."""
    room = os.statvfs(os.path.dirname(path) or ".")
    return room.f_bavail * room.f_frsize


def full(path: str) -> list[str]:
    """A sentence if the disk of the database has no room left."""
    try:
        free = free_bytes(path)
    except OSError:  # its folder is gone, which others notice
        return []
    return [f"the disk of {path} is full ({free / 2**20:.1f} MB free): make room"] if free < LEAST_FREE else []


def filesystem_of(path: str) -> str:
    """Return the type of the file system that holds the path, or "" if it is unknown."""
    try:
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            rows = [line.split()[1:3] for line in mounts]
    except OSError:
        return ""
    real = os.path.realpath(os.path.dirname(path) or ".")
    fitting = [r for r in rows if real == r[0] or real.startswith(r[0].rstrip("/") + "/")]
    return max(fitting, key=lambda r: len(r[0]))[1] if fitting else ""
