"""Progress and checkpoints of running bodies. They are stored as long as their job."""

from __future__ import annotations

from collections.abc import Sequence

from duey import clock
from duey.model.job import Claim
from duey.storage.sqlite.database import Database


class Said:
    """The progress and checkpoints in one file."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put_progress(self, seq: int, data: str) -> None:
        """Store the progress of a job (JSON)."""
        with self._db.write("work") as con:
            con.execute("insert or replace into progress values (?, ?, ?)", (seq, data, clock.now()))

    def progress_of(self, seq: int) -> str | None:
        """The last progress of a job (JSON), or None."""
        with self._db.read() as con:
            row = con.execute("select data from progress where seq = ?", (seq,)).fetchone()
        return row[0] if row else None

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        """Store data with the job. False, and nothing is stored, if the claim is gone."""
        with self._db.write("work") as con:
            return (
                con.execute(
                    "insert or replace into checkpoints select seq, ?, ? from claims where token = ?",
                    (key, data, claim.token),
                ).rowcount
                == 1
            )

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        """What was stored last under the key, or None."""
        with self._db.read() as con:
            row = con.execute("select data from checkpoints where seq = ? and key = ?", (claim.seq, key)).fetchone()
        return row[0] if row else None

    def stopping(self, workers: Sequence[int]) -> set[int]:
        """The tokens of the claims of these workers whose jobs were asked to stop."""
        marks = ",".join("?" * len(workers))
        with self._db.read() as con:
            found = con.execute(
                f"select c.token from stops s join claims c on c.seq = s.seq where c.worker in ({marks})", list(workers)
            )
            return {row[0] for row in found}
