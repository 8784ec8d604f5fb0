"""The databases as they stand: their schema versions, and whether a start could use them. Writes nothing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from duey import schema_copy
from duey.cli.commands.copies import databases, on_servers, schema_version
from duey.cli.context import Refused
from duey.storage.sqlite.connection.preflight import refuse_old_library
from duey.storage.sqlite.peek import opened


class Database(NamedTuple):
    """A database of the service. `found`: its schema version, 0 where there is none yet; `newest`: what this program
    writes."""

    role: str
    place: str  # name of the file, or the server and its address
    found: int
    newest: int

    @property
    def text(self) -> str:
        """What the next start does with it, in words."""
        if not self.found:
            return f"{self.place}: none yet, the next start makes it"
        if self.found < self.newest:
            return f"{self.place}: will migrate {self.found} -> {self.newest} at the next start"
        return f"{self.place}: schema {self.found}"


def looked_at(settings: Any, huey: Any) -> list[Database]:
    """Every database. Raises Refused for one that a start would refuse, and StorageUnavailable, AccessUnavailable,
    Misconfigured."""
    found = [*files(settings), *servers(settings)]
    if settings.storage.backend == "redis":
        from duey.storage.redis.connection import preflight
        from duey.storage.redis.keys import VERSION

        server = huey.storage.server
        version = preflight.schema_of(server, preflight.present_prefix(server))
        if version > VERSION:
            raise preflight.too_new(server, version)
        found.insert(0, Database("queue", f"Redis at {server.address}", version, VERSION))
    return found


def files(settings: Any) -> Iterator[Database]:
    """The SQLite files."""
    refuse_old_library()
    for role, path in databases(settings).items():
        refuse_unwritable(path)
        database = versions(role, path)
        if database.found > database.newest:
            raise too_new(path, database)
        if database.found and database.found < database.newest and (lacking := schema_copy.lacking_room(path)):
            raise Refused(f"{path} {lacking}")
        if database.found and role == "access":  # as at a start: accounts are few, and needed to enter
            with opened(path) as con:
                sound = con.execute("pragma quick_check(1)").fetchone()[0]
            if sound != "ok":
                raise damaged(path, sound.splitlines()[0])
        yield database


def servers(settings: Any) -> Iterator[Database]:
    """Those on PostgreSQL. Raises AccessUnavailable or HistoryUnavailable for one that a start could not use."""
    for role, database in on_servers(settings).items():
        yield Database(role, database.place, *database.look())


def refuse_newer(settings: Any) -> None:
    """Raise Refused if a newer version has written one of the files. What cannot be read is left to who opens it."""
    for role, path in databases(settings).items():
        try:
            database = versions(role, path)
        except Refused:
            continue
        if database.found > database.newest:
            raise too_new(path, database)


def too_new(path: Path, database: Database) -> Refused:
    return Refused(
        f"{path} has schema version {database.found} and this Duey knows {database.newest}: "
        "install the newer Duey again, or restore the backup from before it"
    )


def damaged(path: Path, found: str) -> Refused:
    return Refused(f"{path} is not a valid database ({found}): restore it from a backup, or move it away")


def versions(role: str, path: Path) -> Database:
    """One file. Raises Refused if it is none of ours."""
    if not path.exists() or not path.stat().st_size:
        return Database(role, path.name, 0, schema_version(role, None)[1])
    try:
        with opened(path) as con:
            found, newest = schema_version(role, con)
            tables = [row[0] for row in con.execute("select name from sqlite_master where type = 'table' limit 1")]
    except sqlite3.Error as exc:
        raise damaged(path, str(exc)) from None
    if not found:
        table = f" (it has a table {tables[0]!r})" if tables else ""
        raise Refused(f"{path} is another program's database{table}: name another file in config.ini")
    return Database(role, path.name, found, newest)


def refuse_unwritable(path: Path) -> None:
    """Raise Refused where this user could not write the file, or make it."""
    if path.exists():
        if not os.access(path, os.R_OK | os.W_OK):
            raise Refused(f"{path} cannot be written: give this user write access to it")
        return
    folder = next(each for each in path.parents if each.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"{path} cannot be made: let this user write {folder}")
