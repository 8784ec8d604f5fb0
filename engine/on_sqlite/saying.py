"""What a running body says of itself, kept as long as its job: progress."""

from __future__ import annotations

from engine import clock
from engine.on_sqlite.database import Database


class Said:
    """What bodies have said."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put_progress(self, seq: int, data: str) -> None:
        """The newest progress of a job (JSON)."""
        with self._db.write("work") as con:
            con.execute("insert or replace into progress values (?, ?, ?)", (seq, data, clock.now()))

    def progress_of(self, seq: int) -> str | None:
        """What was put last."""
        with self._db.read() as con:
            row = con.execute("select data from progress where seq = ?", (seq,)).fetchone()
        return row[0] if row else None
