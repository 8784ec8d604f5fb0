"""Checks a queue file before its first use in a process, and opens connections to it.

Refused: a version of SQLite below MINIMUM, a file that is not ours, a file that was removed while Duey was running. A
warning: a file on a network filesystem.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from duey import errors, files, schema_copy
from duey.storage.sqlite.connection import schema
from duey.storage.transfer import StorageMoved

MINIMUM = (3, 35, 0)  # RETURNING and upsert as used here
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")
REMOVED = "the queue {} was removed while Duey was running: put it back, or restart Duey to start with an empty queue"


def connect_first(path: str, busy_s: float, seen: bool) -> sqlite3.Connection:
    """The first connection: creates or migrates the file, checks that it is ours, and switches it to WAL mode. `seen`:
    the file existed before, so that it must not be created again."""
    refuse_old_library()
    if not os.path.exists(path):
        if seen:  # a new empty file would hide the loss
            raise errors.StorageUnavailable(REMOVED.format(path))
        try:
            files.make_folder(Path(path).parent)
            files.make_file(path)  # SQLite gives its side files the same permissions
        except OSError as exc:
            advice = of_another(path) or "let this user write its folder"
            raise errors.StorageReadOnly(f"the queue {path} cannot be made ({exc.strerror}): {advice}") from exc
    con = connect(path, busy_s)
    try:
        schema.prepare(con, path)  # first, because it may be another program's file
    except schema_copy.NoCopy as exc:
        con.close()
        raise errors.StorageFull(f"the queue {path} {exc}") from exc
    except BaseException:
        con.close()  # and its side files go
        raise
    deadline = time.monotonic() + busy_s
    while True:  # switching to WAL needs exclusive access and ignores the busy time-out
        try:
            con.execute("pragma journal_mode = wal")
            break
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    files.mend_database(path)
    return con


def of_another(path: str) -> str:
    """What to do where the files are another user's, '' where they are not."""
    owner = files.owner_if_other(path)
    return f"it belongs to the user {owner}: run this program as {owner}, or let it use the HTTP API" if owner else ""


def refuse_old_library() -> None:
    """Raise Misconfigured if this Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < MINIMUM:
        raise errors.Misconfigured(
            f"SQLite {'.'.join(map(str, MINIMUM))} or newer is needed, this Python has {sqlite3.sqlite_version}"
        )


def refuse_moved(con: sqlite3.Connection) -> None:
    """Raise StorageMoved for a queue that was moved away, or is being moved."""
    row = con.execute("select value from meta where key = 'fence'").fetchone()
    if row is not None:
        con.close()
        raise StorageMoved(row[0])


def connect(path: str, busy_s: float) -> sqlite3.Connection:
    """Another connection."""
    con = sqlite3.connect(
        f"file:{Path(path).as_posix().replace('?', '%3f').replace('#', '%23')}?mode=rw", uri=True,
        timeout=busy_s, isolation_level=None, check_same_thread=False, cached_statements=256,
    )  # fmt: skip
    con.execute("pragma temp_store = memory")
    return con


def warnings(path: str) -> list[str]:
    """What an admin should know, one sentence each."""
    kind = files.filesystem_of(path)
    if kind in NETWORK_FILE_SYSTEMS:
        return [f"the queue {path} is on a network filesystem ({kind}), where SQLite's locks do not hold"]
    return []


def explain(exc: sqlite3.Error, path: str) -> errors.StorageUnavailable:
    """The error that says what an SQLite error means and what to do."""
    text = str(exc)
    if moved := StorageMoved.found_in(text):
        return moved
    if "locked" in text or "busy" in text:
        return errors.StorageBusy(f"the queue {path} is locked by another program: try again, or end that program")
    if "full" in text or "disk I/O" in text:
        return errors.StorageFull(f"the disk of {path} is full or failing ({text}): make room")
    if "readonly" in text or "read-only" in text:
        advice = of_another(path) or "give this user write access to it"
        return errors.StorageReadOnly(f"the queue {path} cannot be written: {advice}")
    if any(words in text for words in ("malformed", "not a database", "no such table")):  # the last one: emptied file
        return errors.StorageCorrupt(
            f"{path} is not a valid SQLite database ({text}): restore it from a backup, or move it away to start empty"
        )
    if "unable to open" in text:
        advice = of_another(path) or "let this user read and write it and its folder"
        return errors.StorageReadOnly(f"the queue {path} cannot be opened: {advice}")
    return errors.StorageUnavailable(f"the queue {path} cannot be used ({text})")


def is_mistake(exc: Exception) -> bool:
    """Whether SQLite refused the data, rather than being unavailable. Trying again would not help then."""
    if isinstance(exc, sqlite3.ProgrammingError):
        return "closed" not in str(exc)
    if isinstance(exc, sqlite3.IntegrityError) and StorageMoved.found_in(str(exc)):
        return False
    refused = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)
    return isinstance(exc, (errors.DueyError, *refused, TypeError, ValueError, OverflowError))
