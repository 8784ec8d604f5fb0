"""Synced single defers beside a raw synced insert of the same row, in turns.

The raw insert is what nobody who keeps a row in SQLite can avoid: one connection, WAL, synchronous = FULL, one table
with the columns and the unique id of a job, `begin immediate`, one insert, `commit`. No place, no event, no wake-up.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable

from bench.systems import FOLDER
from bench.systems.duey import huey, noop
from bench.systems.duey_sqlite import SYSTEM
from duey.model.job import STATED
from duey.storage.sqlite.connection.schema import DDL
from duey.storage.sqlite.steps.insert import INSERT

TURN = 100  # of each kind before the other has its turn


def raw() -> Callable[[int], None]:
    """A function that inserts n rows, each in a synced transaction of its own."""
    con = sqlite3.connect(FOLDER / "raw.db", isolation_level=None)
    con.execute("pragma journal_mode = wal")
    con.execute("pragma synchronous = full")
    con.execute("pragma wal_autocheckpoint = 20000")
    con.execute(next(table for table in DDL if table.startswith("create table jobs")))

    def insert(n: int) -> None:
        for row in [huey.new_job(noop.s(i)) for i in range(n)]:
            con.execute("begin immediate")
            con.execute(INSERT, row[:STATED])
            con.execute("commit")

    return insert


def taken(call: Callable[[int], None]) -> float:
    began = time.perf_counter()
    call(TURN)
    return time.perf_counter() - began


def main(turns: int) -> None:
    SYSTEM.prepare()
    insert = raw()
    SYSTEM.single(TURN)
    insert(TURN)
    pairs = [(taken(SYSTEM.single), taken(insert)) for _ in range(turns)]
    print(json.dumps({"per_turn": TURN, "defer_s": [a for a, _ in pairs], "raw_s": [b for _, b in pairs]}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
