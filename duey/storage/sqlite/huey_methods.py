"""What Huey itself asks of a storage: the payloads that wait, and flushing."""

from __future__ import annotations

from duey.storage.contract import JobStorage
from duey.storage.sqlite import maintenance
from duey.storage.sqlite.database import Database


class HueyMethods(JobStorage):
    """A part of SqliteStorage."""

    db: Database

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("ready r join jobs j using (seq) order by r.rank, r.seq", limit)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads("scheduled d join jobs j using (seq) order by d.at, d.seq", limit)

    def _payloads(self, source: str, limit: int | None) -> list[bytes]:
        with self.db.read() as con:
            rows = con.execute(f"select payload from {source} limit ?", (-1 if limit is None else limit,))
            return [row[0] for row in rows]

    def flush_queue(self) -> None:
        self._flush("ready", "blocked")

    def flush_schedule(self) -> None:
        self._flush("scheduled")

    def _flush(self, *places: str) -> None:
        with self.db.write("synced") as con:
            for place in places:
                maintenance.empty(con, place)

    def flush_results(self) -> None:
        with self.db.write("relaxed") as con:
            maintenance.forget_ended(con)

    def flush_counters(self) -> None:
        with self.db.write("relaxed") as con:
            con.execute("delete from counters")
