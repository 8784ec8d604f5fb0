"""A backup of a SQLite database that is in use: one consistent file, or none.

Order: the pages are copied in steps into a hidden folder beside the target; the copy is checked, synced, and
moved over the target in one rename; `prune` removes the folders of past days.
Ending: the target is the old backup or the new one, never half of either. A killed run leaves its hidden
folder, which a later run to the same target removes.
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
_STALE_S = 3600.0  # a copy that is being written is never as old
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WAITING = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED: sqlite3 names them from Python 3.11 on

Progress = Callable[[int, int, str], object]


def copy(source: Path, target: Path, *, progress: Progress) -> dict[str, Any]:
    """Copy the database `source` to the file `target` and return {"bytes", "seconds"}.

    Writers of `source` go on meanwhile. `progress(done_pages, total_pages, note)` is called after each step.
    Raises Refused (no or unsound source, a target that is no SQLite file) and Unavailable (locked, full).
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
                duplicate.execute("PRAGMA synchronous = OFF")  # it is synced once, as a whole
                _copy_pages(original, duplicate, progress)
                _make_single_file(duplicate)
                _check(duplicate, source)
            partial.chmod(source.stat().st_mode & 0o700)  # a backup is at least as secret as its original
            size = partial.stat().st_size
            _sync(partial)
            os.replace(partial, target)
        _sync(target.parent)
    except OSError as error:
        raise Unavailable(f"the backup of {source} cannot be written: {error}") from error
    return {"bytes": size, "seconds": round(time.monotonic() - started, 3)}


def prune(folder: Path, keep: int) -> list[str]:
    """Remove folders of days (YYYY-MM-DD) but for the newest `keep`, nothing else; returns their names."""
    days = sorted(path for path in folder.iterdir() if _DAY.fullmatch(path.name) and path.is_dir())
    surplus = days[: max(0, len(days) - keep)]
    for day in surplus:
        shutil.rmtree(day)
    return [day.name for day in surplus]


def _check_target(source: Path, target: Path) -> None:
    if not target.parent.is_dir() or target.is_dir():
        raise Refused(f"expected a file name in an existing folder as target, found {target}")
    # The new file would be read together with the old one's journal, which corrupts it.
    if any(Path(f"{target}{end}").exists() for end in ("-wal", "-journal")):
        raise Refused(f"the target {target} is in use, or was left by a program that died: choose another name")
    if target.exists():
        if source.exists() and os.path.samefile(source, target):
            raise Refused(f"source and target are the same file {target}: choose another target")
        # Asked through SQLite: closing a database that was opened by hand drops this process's locks on it.
        with opened(target) as previous:
            previous.execute("PRAGMA schema_version").fetchone()


def _remove_stale(target: Path) -> None:
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        if all(time.time() - path.stat().st_mtime > _STALE_S for path in (folder, *folder.iterdir())):
            shutil.rmtree(folder)


def _copy_pages(original: sqlite3.Connection, duplicate: sqlite3.Connection, progress: Progress) -> None:
    if original.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        # One snapshot from first step to last: writers do not wait for it and cannot start the copy anew.
        original.execute("BEGIN")
        original.execute("SELECT count(*) FROM sqlite_master").fetchone()
    try:
        original.backup(duplicate, pages=PAGES_PER_STEP, progress=_Steps(progress, MAX_RESTARTS))
    except _Restarted:
        # Better that the writers wait once than that a busy database is never copied.
        original.backup(duplicate, pages=-1, progress=_Steps(progress, None))


class _Restarted(Exception):
    """Writers have started the copy anew too often."""


class _Steps:
    """Looks at each step: passes progress on, counts new starts, and ends the wait for a locked source."""

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
        # Without WAL, each write of another connection makes SQLite begin again with the first page.
        self._restarts += done <= self._done
        if self._max_restarts is not None and self._restarts > self._max_restarts:
            raise _Restarted
        self._done, self._moved_at = done, time.monotonic()
        self._progress(done, total, "pages copied")


def _make_single_file(duplicate: sqlite3.Connection) -> None:
    """The copy of a database in WAL mode is in WAL mode too, and would grow side files when looked at."""
    duplicate.execute("PRAGMA journal_mode = DELETE").fetchone()


def _check(duplicate: sqlite3.Connection, source: Path) -> None:
    found = duplicate.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Refused(f"{source} is damaged, so the copy was not kept: {found}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
