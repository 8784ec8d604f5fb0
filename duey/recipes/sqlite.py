"""SQLite connections for recipes: errors become one-sentence messages, and the connection is closed at the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from duey.recipes import Refused, Unavailable

BUSY_TIMEOUT_S = 30.0


@contextmanager
def opened(path: Path, *, create: bool = False) -> Iterator[sqlite3.Connection]:
    """Open an existing file, or with `create` also a new one, and yield a connection in autocommit mode.

    Raises Refused (no file, no database, a constraint) and Unavailable (locked, full, read-only). Errors of SQLite
    inside of the `with` block are converted too.
    """
    if not (path.parent.is_dir() and not path.is_dir() if create else path.is_file()):
        raise Refused(f"expected a SQLite file{' or a new name' if create else ''} at {path}, found none")
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        with closing(connection):
            yield connection
    except sqlite3.OperationalError as error:
        raise Unavailable(f"{path} cannot be used now: {error}") from error
    except sqlite3.IntegrityError as error:
        raise Refused(f"{path} does not take the rows, nothing was changed: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Refused(f"expected a valid SQLite file at {path}: {error}") from error


def quoted(name: str) -> str:
    """Return the name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
