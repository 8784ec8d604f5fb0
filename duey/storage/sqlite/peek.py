"""Reads a queue file of any schema version, and any other SQLite file, without changing anything: for checks.

A file that is opened as the service does is created, migrated and switched to WAL mode.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

BUSY_S = 5.0


@contextmanager
def opened(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A connection that writes nothing, not even side files. Raises sqlite3.Error."""
    # In WAL mode a reader makes the side files, unless they exist or it is said that nobody writes.
    how = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
    uri = f"{Path(path).absolute().as_uri()}?{how}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as con:
        yield con
