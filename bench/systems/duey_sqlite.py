"""Duey on SQLite, with all that it promises."""

from __future__ import annotations

from bench.systems.duey import Duey, huey


class DueyOnSqlite(Duey):
    title = "Duey on SQLite"
    settings = "as it comes: durability = full, events written, results kept for a day"
    guarantee = "at least once, one end each (fenced); what was accepted survives power loss; rescued within a second"
    jobs = 30_000

    def stored(self) -> int:
        with huey.storage.db.read() as con:
            return int(con.execute("select count(result) from finished where state = 'done'").fetchone()[0])


SYSTEM = DueyOnSqlite()
