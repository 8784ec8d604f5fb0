"""Back up a SQLite database that is in use, to one consistent file.

The pages are copied in steps into a hidden folder beside the target. The copy is checked and synced, and then replaces
the target in one rename. `prune` removes old daily folders.
So the target is always a complete backup, the old one or the new one. A run that is killed leaves its hidden folder,
which a later run to the same target removes.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from duey.recipes import Refused, Unavailable
from duey.recipes.sqlite import BUSY_TIMEOUT_S, opened

PAGES_PER_STEP = 1000
MAX_RESTARTS = 5
_STALE_S = 3600.0  # older than any copy that is still being written
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WAITING = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED: sqlite3 has these names since Python 3.11

Progress = Callable[[int, int, str], object]


def copy(source: Path, target: Path, *, progress: Progress) -> dict[str, Any]:
    """Copy the database `source` to the file `target` and return {"bytes", "seconds"}.

    Other processes can write to `source` meanwhile. `progress(done_pages, total_pages, note)` is called after each
    step. Raises Refused (`source` missing or corrupt, `target` not a SQLite file) and Unavailable (locked, full).
    """
    started = time.monotonic()
    _check_target(source, target)
    try:
        _remove_stale(target)
        with tempfile.TemporaryDirectory(".partial", f".{target.name}.", target.parent) as folder:
            partial = Path(folder, target.name)
            with (
                opened(source) as original,
                closing(sqlite3.connect(partial, isolation_level=None)) as duplicate,
            ):
                duplicate.execute("PRAGMA synchronous = OFF")  # the finished file is synced once
                _copy_pages(original, duplicate, progress)
                _make_single_file(duplicate)
                _check(duplicate, source)
            partial.chmod(source.stat().st_mode & 0o700)  # no more accessible than the original
            size = partial.stat().st_size
            sync(partial)
            os.replace(partial, target)
        sync(target.parent)
    except OSError as error:
        raise Unavailable(f"the backup of {source} cannot be written: {error}") from error
    return {"bytes": size, "seconds": round(time.monotonic() - started, 3)}


def prune(folder: Path, keep: int) -> list[str]:
    """Remove all daily folders (YYYY-MM-DD) except the newest `keep`. Return the names of the removed ones."""
    days = sorted(path for path in folder.iterdir() if _DAY.fullmatch(path.name) and path.is_dir())
    surplus = days[: max(0, len(days) - keep)]
    for day in surplus:
        shutil.rmtree(day)
    return [day.name for day in surplus]


def _check_target(source: Path, target: Path) -> None:
    if not target.parent.is_dir() or target.is_dir():
        raise Refused(f"expected a file name in an existing folder as target, found {target}")
    # SQLite would apply the old file's journal to the new file and corrupt it.
    if any(Path(f"{target}{end}").exists() for end in ("-wal", "-journal")):
        raise Refused(f"the target {target} is in use, or was left by a program that died: choose another name")
    if target.exists():
        if source.exists() and os.path.samefile(source, target):
            raise Refused(f"source and target are the same file {target}: choose another target")
        # Read it with SQLite: opening and closing the file directly would drop this process's locks on it.
        with opened(target) as previous:
            previous.execute("PRAGMA schema_version").fetchone()


def _remove_stale(target: Path) -> None:
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        if all(time.time() - path.stat().st_mtime > _STALE_S for path in (folder, *folder.iterdir())):
            shutil.rmtree(folder)


def _copy_pages(original: sqlite3.Connection, duplicate: sqlite3.Connection, progress: Progress) -> None:
    if original.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        # Copy from one snapshot: writers do not wait for it, and their changes do not restart the copy.
        original.execute("BEGIN")
        original.execute("SELECT count(*) FROM sqlite_master").fetchone()
    try:
        original.backup(duplicate, pages=PAGES_PER_STEP, progress=_Steps(progress, MAX_RESTARTS))
    except _Restarted:
        # Copy in one step: the writers wait once. Otherwise a busy database might never be copied.
        original.backup(duplicate, pages=-1, progress=_Steps(progress, None))


class _Restarted(Exception):
    """Writers have restarted the copy too often."""


class _Steps:
    """Called after each step: reports progress, counts restarts, and stops waiting for a locked source."""

    def __init__(self, progress: Progress, max_restarts: int | None) -> None:
        self._progress, self._max_restarts = progress, max_restarts
        self._done = self._restarts = 0
        self._moved_at = time.monotonic()

    def __call__(self, status: int, remaining: int, total: int) -> None:
        if status in _WAITING:
            if time.monotonic() - self._moved_at > BUSY_TIMEOUT_S:
                raise Unavailable(f"the database stayed locked for {BUSY_TIMEOUT_S:g} s: try again later")
            return
        done = total - remaining
        # Without WAL, each write by another connection makes SQLite restart from the first page.
        self._restarts += done <= self._done
        if self._max_restarts is not None and self._restarts > self._max_restarts:
            raise _Restarted
        self._done, self._moved_at = done, time.monotonic()
        self._progress(done, total, "pages copied")


def _make_single_file(duplicate: sqlite3.Connection) -> None:
    """Switch the copy out of WAL mode, which it has from the original: reading it would create side files."""
    duplicate.execute("PRAGMA journal_mode = DELETE").fetchone()


def _check(duplicate: sqlite3.Connection, source: Path) -> None:
    found = duplicate.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Refused(f"{source} is damaged, so the copy was not kept: {found}")


def sync(path: Path) -> None:
    """Let a file's contents, or a folder's names, survive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
