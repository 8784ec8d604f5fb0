"""Reads a queue file of any schema version, and any other SQLite file, without changing anything: for checks.

A file that is opened as the service does is created, migrated and switched to WAL mode.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from duey.model.job import JobRecord
from duey.model.schedule import ScheduleRow
from duey.storage.sqlite.connection.schema import named
from duey.storage.transfer import words_of
from duey.storage.values import called

BUSY_S = 5.0
PLACES = ("ready", "scheduled", "blocked", "claimed")  # of jobs that have not ended
UNENDED = """select id, task, queue, chord, context, payload from jobs j
    where not exists (select 1 from {} e where e.seq = j.seq) order by seq"""
COMING = "select id, task, queue, chord, context, payload from inbox order by n"
MADE = "select name, source, spec, paused, last, since from schedules where source = 'made' order by name"


@contextmanager
def opened(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A connection that writes nothing, not even side files. Raises sqlite3.Error."""
    # In WAL mode a reader makes the side files, unless they exist or it is said that nobody writes.
    how = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
    uri = f"{Path(path).absolute().as_uri()}?{how}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as con:
        yield con


def waiting_in(path: Path | str) -> int:
    """How many jobs have not ended in a queue file. 0 if they were moved, or if it is no queue of this version."""
    there = _read(path, "select name from sqlite_master where type = 'table'")
    counts = " + ".join(f"(select count(*) from {name})" for name in (*PLACES, "inbox") if name in (*PLACES, *there))
    found = _read(path, f"select {counts} where not exists (select 1 from meta where key = 'fence')")
    return int(found[0]) if found else 0


def fence_of(path: Path | str) -> str | None:
    """Why a queue file refuses every start, None if it does not."""
    found = _read(path, "select value from meta where key = 'fence'")
    return str(found[0]) if found else None


def words_of_move(path: Path | str) -> list[str]:
    """What to say of a move that begins, one sentence each."""
    found = _read(path, "select value from meta where key = 'move'")
    return words_of(found[0], str(path)) if found else []


def _read(path: Path | str, query: str) -> list[Any]:
    """The first column. Nothing if there is no file, or one without these tables."""
    if not os.path.exists(path):
        return []
    try:
        with opened(path) as con:
            return [row[0] for row in con.execute(query)]
    except sqlite3.Error:
        return []


def jobs(con: sqlite3.Connection) -> Iterator[JobRecord]:
    """The jobs that have not ended, oldest first, read one by one: what they call, and where it is signed for."""
    ended = "finished" if "finished" in named(con, "table") else "ended"  # its name before version 4
    for job_id, task, queue, chord, context, payload in con.execute(UNENDED.format(ended)):
        yield called(job_id, task, queue, chord, context, payload)
    for row in con.execute(COMING) if "inbox" in named(con, "table") else ():
        yield called(*row)


def schedules(con: sqlite3.Connection) -> Iterator[ScheduleRow]:
    """The schedules that were made at run time."""
    for name, source, spec, paused, last, since in con.execute(MADE):
        yield ScheduleRow(name, source, spec, bool(paused), last, since)
