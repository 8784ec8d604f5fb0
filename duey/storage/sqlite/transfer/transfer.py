"""A queue file as `duey move` sees it: implements duey.storage.transfer.Transfer.

The fence is a trigger for each change of each table, so a process that runs already is refused as well, and a queue
that is not fenced pays nothing for it. The mover writes inside a transaction that drops the triggers and creates them
again, so no other process ever sees the file without them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from duey import clock, errors
from duey.model.job import JobRecord
from duey.storage import presence
from duey.storage.sqlite.connection import preflight
from duey.storage.sqlite.connection.preflight import explain
from duey.storage.sqlite.steps import inbox
from duey.storage.sqlite.transfer.rows import EVENT_ROWS, JOB_ROWS, ROWS, STORE, item_of, shown, store_jobs, stored
from duey.storage.transfer import (
    BYTES,
    EVENTS,
    HOLD,
    JOBS,
    KEYS,
    Contents,
    EventItem,
    JobItem,
    Marker,
    Numbers,
    StorageMoved,
    Transfer,
    number,
)

BUSY_S = 15.0
NEVER_FENCED = ("meta", "workers")  # a few keys of meta are; a worker may leave
META = ("gaps", "hand", "outbox_owner", "scheduler")  # keys of meta that are copied


class SqliteTransfer(Transfer):
    """One queue file. `create`: make it if there is none, as for a target."""

    def __init__(self, label: str, path: Path, create: bool = False) -> None:
        self.label, self.path = label, str(path)
        if not create and not path.exists():
            raise errors.Misconfigured(f"expected a queue at {path}, found no file: name the one that has the jobs")
        try:
            self._con = preflight.connect_first(self.path, BUSY_S, False)
        except sqlite3.Error as exc:
            raise explain(exc, self.path) from exc
        self._con.execute("pragma synchronous = full")

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._con.execute("pragma wal_checkpoint(passive)")
        self._con.close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._con
        except sqlite3.Error as exc:
            raise explain(exc, self.path) from exc

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction without the fence. It stands again, with the sentence of then, at the commit."""
        with self._read() as con:
            con.execute("begin immediate")
            try:
                for (name,) in con.execute("select name from sqlite_master where name glob 'fence_*'").fetchall():
                    con.execute(f"drop trigger {name}")
                inbox.distribute(con)
                yield con
                row = con.execute("select value from meta where key = 'fence'").fetchone()
                for statement in triggers(con, row[0]) if row else ():
                    con.execute(statement)
                con.execute("commit")
            except BaseException:
                con.execute("rollback")
                raise

    def marker(self) -> Marker | None:
        with self._read() as con:
            row = con.execute("select value from meta where key = 'move'").fetchone()
        return Marker.of(row[0]) if row else None

    # the source

    def hold(self, marker: Marker) -> None:
        with self._write() as con:
            con.execute("insert or replace into pauses values (?, ?, ?)", (*HOLD, clock.now()))
            put(con, "move", marker.as_json())

    def running(self) -> list[tuple[str, str]]:
        with self._read() as con:
            return con.execute("select id, task from claimed join jobs using (seq) order by seq").fetchall()

    def fence(self, marker: Marker, sentence: str) -> bool:
        with self._write() as con:
            if con.execute("select 1 from claimed limit 1").fetchone():
                return False
            put(con, "move", marker.as_json())
            put(con, "fence", sentence)
        return True

    def leave(self, marker: Marker, sentence: str) -> None:
        with self._write() as con:
            put(con, "move", marker.as_json())
            put(con, "fence", sentence)

    def release(self) -> None:
        with self._write() as con:
            con.execute("delete from meta where key in ('move', 'fence')")
            con.execute("delete from pauses where kind = ? and name = ?", HOLD)

    # both

    def numbers(self) -> Numbers:
        with self._read() as con:
            given = dict(con.execute("select name, seq from sqlite_sequence"))
            manual = con.execute("select value from meta where key = 'hand'").fetchone()
            event = con.execute("select max(seq) from outbox").fetchone()[0]
            coming = con.execute("select count(*) from inbox").fetchone()[0]
        return Numbers(
            given.get("jobs", 0) + coming, event or 0, given.get("workers", 0), int(manual[0]) if manual else 0
        )

    def contents(self) -> Contents:
        with self._read() as con:
            counts = con.execute(
                "select (select count(*) from jobs) + (select count(*) from inbox) - (select count(*) from finished), "
                "(select count(*) from finished), (select count(*) from outbox), (select count(*) from kv), "
                "(select count(*) from schedules where source <> 'code')"
            ).fetchone()
            workers = [n for (n,) in con.execute("select n from workers")]
        folder = Path(f"{self.path}-workers")
        return Contents._make((*counts, sum(presence.is_alive(folder, n) for n in workers)))

    def read(self, section: str, after: Any, limit: int) -> Sequence[tuple[Any, ...]]:
        if not inbox.is_empty(self._con):
            with self._write():
                pass
        with self._read() as con:
            if section == JOBS:
                return self._jobs(con, after or 0, limit)
            if section == EVENTS:
                rows = con.execute(EVENT_ROWS, (after or 0, limit)).fetchall()
                return [EventItem._make((*row[:5], float(row[5]), number(row[6]), *row[7:])) for row in rows]
            keys = KEYS[section]
            names, marks = ", ".join(keys), ", ".join("?" * len(keys))
            behind = f"where ({names}) > ({marks})" if after else ""
            query = f"select * from ({ROWS[section]}) {behind} order by {names} limit ?"
            return [shown(section, row) for row in con.execute(query, (*(after or ()), limit)).fetchall()]

    def _jobs(self, con: sqlite3.Connection, after: int, limit: int) -> list[JobItem]:
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in con.execute(JOB_ROWS, (after, limit)):
            size += sum(len(value) for value in row if isinstance(value, bytes))
            if size > BYTES and rows:
                break
            rows.append(row)
        if not rows:
            return []
        last = rows[-1][JobRecord._fields.index("seq")]
        kept = con.execute(
            "select seq, key, data from checkpoints where seq > ? and seq <= ? order by seq, key", (after, last)
        ).fetchall()
        checkpoints = {seq: tuple(row[1:] for row in some) for seq, some in groupby(kept, lambda row: row[0])}
        return [item_of(row, checkpoints) for row in rows]

    # the target

    def begin(self, marker: Marker, sentence: str, is_stale: bool, replace: bool = False) -> None:
        with self._write() as con:
            self.contents().refuse(self.label, is_stale, replace)
            for name in tables(con):
                con.execute(f"delete from {name}")
            con.execute(f"delete from meta where key in {META}")
            con.execute("delete from sqlite_sequence")
            put(con, "move", marker.as_json())
            put(con, "fence", sentence)

    def write(self, section: str, items: Sequence[Any], marker: Marker) -> None:
        with self._write() as con:
            if section == JOBS:
                store_jobs(con, items)
            elif section == EVENTS:
                con.executemany(
                    "insert or replace into outbox values (?, ?, ?, ?, ?, ?, ?, ?)",
                    [(e.number, e.seq, *e[3:]) for e in items],
                )
            else:
                con.executemany(STORE[section], [stored(section, item) for item in items])
            put(con, "move", marker.as_json())

    def arrive(self, marker: Marker, numbers: Numbers) -> None:
        with self._write() as con:
            con.execute("delete from sqlite_sequence where name in ('jobs', 'workers')")
            con.executemany(
                "insert into sqlite_sequence values (?, ?)", [("jobs", numbers.seq), ("workers", numbers.worker)]
            )
            if numbers.manual:
                put(con, "hand", numbers.manual)
            put(con, "move", marker.becomes(marker.state, numbers=self.numbers()).as_json())
            con.execute("delete from meta where key = 'fence'")

    def lift(self, marker: Marker) -> None:
        with self._write() as con:
            put(con, "move", marker.as_json())
            con.execute("delete from meta where key = 'fence'")

    def sync(self) -> list[str]:
        folder = os.open(os.path.dirname(os.path.abspath(self.path)), os.O_RDONLY)  # the name of a new file
        os.fsync(folder)
        os.close(folder)
        return []

    def used_since(self, numbers: Numbers) -> bool:
        now = self.numbers()
        return (now.seq, now.worker, now.manual) != (numbers.seq, numbers.worker, numbers.manual)


def tables(con: sqlite3.Connection) -> list[str]:
    """Every table, also workers, but for meta."""
    found = con.execute("select name from sqlite_master where type = 'table' and name not glob 'sqlite_*'").fetchall()
    return [name for (name,) in found if name != "meta"]


def triggers(con: sqlite3.Connection, sentence: str) -> Iterator[str]:
    """The statements that build the fence."""
    text = f"{StorageMoved.SIGN}{sentence}".replace("'", "''")
    refuse = f"begin select raise(abort, '{text}'); end"
    for name in tables(con):
        for change in ("insert", "update", "delete") if name not in NEVER_FENCED else ():
            yield f"create trigger fence_{name}_{change} before {change} on {name} {refuse}"
    for change in ("insert", "update"):  # what schedulers write
        yield f"create trigger fence_meta_{change} before {change} on meta when new.key in {META} {refuse}"


def put(con: sqlite3.Connection, key: str, value: Any) -> None:
    con.execute("insert or replace into meta values (?, ?)", (key, value))
